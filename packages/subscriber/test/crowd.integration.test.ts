import { expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import { uncrowdedStore } from "../src/crowd.ts";
import { rememberingStore } from "../src/remember.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";
import { freshStore } from "./fresh-store.ts";

const MOST = 20;
const SECOND_MS = 1_000;
const startMs = Date.now();

/** A store for 20 components, and a site's way to report so many of them, a second after the last time. */
async function freshCrowd() {
  const { store: plain } = await freshStore();
  const { store: whole, memory } = rememberingStore(plain);
  const store = uncrowdedStore(whole, memory.sites, MOST);
  let sequence = 0;
  async function report(site: string, count: number, bootId = site) {
    sequence += 1;
    const names = Array.from({ length: count }, (_, index) => `${sequence}-${index}`);
    const components = names.map((name) => component({ name }));
    const atMs = startMs + sequence * SECOND_MS;
    const times = { sentAtMs: atMs, uptimeMs: sequence * SECOND_MS, intervalMs: SECOND_MS };
    const before = await store.load(site);
    const message = heartbeat({ site, bootId, sequence, ...times, components });
    const { record } = applyHeartbeat(before.record, message, site, receipt(atMs), rules);
    return record && (await store.commit(before, record, []));
  }
  return { store, report };
}

test("whoever sends many components is refused more, and takes no room from those who send few", async () => {
  const { report } = await freshCrowd();
  expect(await report("few", 1)).toBe("committed");
  expect(await report("many", MOST - 1)).toBe("committed");
  expect(await report("many", MOST)).toBe("crowded");
  expect(await report("others", MOST)).toBe("crowded");
  expect(await report("many", MOST - 1)).toBe("committed");
  expect(await report("few", MOST / 2)).toBe("committed");
  expect(await report("few", MOST / 2 + 1)).toBe("crowded");
  expect(await report("many", MOST - 2)).toBe("committed");
});

test("two publishers of one site that report other components each time are kept in bounds", async () => {
  const { store, report } = await freshCrowd();
  const results = [];
  for (let round = 0; round < MOST; round += 1) {
    await report("tsd", 1, "one");
    results.push(await report("tsd", 3, "other"));
  }
  expect(results).toContain("crowded");
  const [record] = (await store.loadAll()).records;
  expect(record?.components.length).toBeGreaterThan(3);
  expect(record?.components.length).toBeLessThanOrEqual(MOST);
});
