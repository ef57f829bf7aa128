import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { documentedFields, documentedReasons, fieldsOf } from "../../../test/inventory.ts";
import { decodeHeartbeat } from "../../shared/src/decode.ts";
import { encodeHeartbeat } from "../../shared/src/heartbeat.ts";
import { composeHeartbeat, type Detail } from "../src/compose.ts";
import { parseTargets } from "../src/parse-file.ts";
import { REASONS, type Target } from "../src/probe.ts";
import { probesOf } from "../src/probes-of.ts";
import { targetsOf } from "../src/probes/queue-target.ts";
import type { WatchedTarget } from "../src/watch.ts";
import { BASE, watchedTarget } from "./watched.ts";

/** In all that must not leave, and in nothing else. */
const MARK = "hunter2";
const LEAST_PORT = 20_000;

const boot = { site: "tsd", bootId: "boot", startedAtMs: 0, intervalMs: 60_000 };
const beat = { sequence: 1, sentAtMs: 0, uptimeMs: 0, cause: "change" as const };

const name = fc.stringMatching(/^[a-z][a-z-]{0,10}$/);
const inside = fc.stringMatching(/^[a-z.]{0,5}$/).map((start) => `${start}${MARK}.example`);
const port = fc.integer({ min: LEAST_PORT, max: 65_535 });
const listeners = fc.array(fc.record({ name, tag: inside.map((tag) => `^ctag-${tag}`) }), { maxLength: 3 });
const heartbeat = fc.record({
  hosts: fc.array(fc.record({ host: inside, port, name }), { minLength: 1, maxLength: 5 }),
  rmq_consumers: fc.array(fc.record({ queue: name, listeners }), { maxLength: 5 }),
});
const standing = fc.record({
  state: fc.constantFrom("up", "down", "unknown"),
  reason: fc.option(fc.constantFrom(...REASONS), { nil: undefined }),
  detail: fc
    .tuple(inside, inside, port)
    .map(([host, user, port]) => `user '${user}' at https://${host}:${port}`),
  latencyMs: fc.option(fc.integer({ min: 0, max: 9_999 }), { nil: undefined }),
  values: fc.option(fc.dictionary(fc.stringMatching(/^[a-z_]{1,9}$/), fc.integer({ min: 0, max: 9_999 })), {
    nil: undefined,
  }),
  because: fc.option(fc.record({ kind: fc.constantFrom("service", "queue"), name }), { nil: undefined }),
});

function targetsIn(heartbeat: object): Target[] {
  const parsed = parseTargets(JSON.stringify({ heartbeat }));
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const look = async () => ({ state: "up" }) as const;
  return probesOf(parsed.targets, {
    base: BASE,
    look: () => look,
    lookAtConsumers: (queues) => ({ targets: queues.flatMap(targetsOf), look: async () => [] }),
  }).flatMap(({ targets }) => targets);
}

function encoded(detail: Detail, format: 1 | 2, targets: readonly WatchedTarget[]): string {
  return encodeHeartbeat(composeHeartbeat({ ...boot, detail }, beat, targets), format).toString();
}

describe("by default", () => {
  test("no host, port, user or error text is in a heartbeat, whatever is watched and however it fails", () => {
    const standings = fc.array(standing, { minLength: 1, maxLength: 8 });
    const levels = fc.constantFrom<Detail[]>("none", "code");
    const formats = fc.constantFrom<(1 | 2)[]>(1, 2);
    fc.assert(
      fc.property(heartbeat, standings, levels, formats, (heartbeat, standings, detail, format) => {
        const targets = targetsIn(heartbeat).map((target, index) =>
          watchedTarget(target, standings[index % standings.length]),
        );
        const body = encoded(detail, format, targets);
        expect(body).not.toContain(MARK);
        expect(body).not.toMatch(/[2-6]\d{4}/);
        for (const { name } of heartbeat.hosts) expect(body).toContain(`"name":"${name}"`);
        const documented = documentedFields(detail);
        expect(fieldsOf(JSON.parse(body)).filter((field) => !documented.includes(field))).toEqual([]);
      }),
    );
  });

  test("the reasons that leave are those of SECURITY.md, and operators find each explained", () => {
    expect(documentedReasons()).toEqual(REASONS);
    const operations = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");
    const [, explained = ""] = operations.split("### Reasons of components");
    expect(REASONS.filter((reason) => !explained.includes(`\`${reason}\``))).toEqual([]);
  });
});

describe("with text", () => {
  test.each([
    { what: "a long one", detail: "x".repeat(10_000) },
    { what: "one that is cut within a letter", detail: `${"x".repeat(249)}😀` },
    { what: "half a letter", detail: "\ud83d" },
  ])("the subscriber takes $what of the error's words", ({ detail }) => {
    const [target] = targetsIn({ hosts: [{ host: "db", port: 1, name: "sda-db" }] });
    if (!target) throw new Error("there is a host");
    const watched = watchedTarget(target, { detail });
    const decoded = decodeHeartbeat(Buffer.from(encoded("text", 2, [watched])), 0);
    expect(decoded).toMatchObject({ ok: true, heartbeat: { components: [{ name: "sda-db" }] } });
  });
});
