import { readFileSync } from "node:fs";
import type { Cluster, Result } from "ioredis";
import type { SiteRecord } from "../site-record.ts";
import type { CommitResult, Store, Stored } from "../store.ts";
import { TAKEN_WHEN_FULL, REFUSED_WHEN_FULL } from "./first-line.ts";
import { historyChanges } from "./history.ts";
import { eventsKey, FORGOTTEN_FOR_S, GENERATION, siteKey, SITES, SWEEPS } from "./keys.ts";
import { allSites } from "./record.ts";
import { singleKeyStore } from "./single-key-store.ts";

const RECORD = readFileSync(new URL("./record.lua", import.meta.url), "utf8");
const COUNT_COMMIT = readFileSync(new URL("./count-commit.lua", import.meta.url), "utf8");
const REPAIR = readFileSync(new URL("./repair.lua", import.meta.url), "utf8");
const COMMIT =
  REFUSED_WHEN_FULL +
  REPAIR +
  RECORD +
  readFileSync(new URL("./cluster-commit.lua", import.meta.url), "utf8");
const FORGET =
  TAKEN_WHEN_FULL + REPAIR + RECORD + readFileSync(new URL("./cluster-forget.lua", import.meta.url), "utf8");
const ADD_SITE =
  REFUSED_WHEN_FULL + REPAIR + readFileSync(new URL("./cluster-add-site.lua", import.meta.url), "utf8");
const SCHEDULE =
  REFUSED_WHEN_FULL + REPAIR + readFileSync(new URL("./cluster-schedule.lua", import.meta.url), "utf8");
const COUNT =
  TAKEN_WHEN_FULL +
  REPAIR +
  COUNT_COMMIT +
  readFileSync(new URL("./cluster-count.lua", import.meta.url), "utf8");

const TAKE_NOTHING = readFileSync(new URL("./take-nothing.lua", import.meta.url), "utf8");

/** Keys that nobody writes, one in each sixteenth of the slots: some belong to each node of a cluster of usual size. */
const KEYS_ALL_OVER = [0, 1, 2, 3, 20, 21, 22, 23, 40, 41, 42, 43, 60, 61, 62, 63].map(
  (n) => `heartbeat:nothing:${n}`,
);

/**
 * The store in a cluster, without keys for the old reader. A site's record and events are one script; the indexes over
 * all sites lie in other slots, each step is safe to repeat, and whoever is interrupted between two leaves nothing that
 * reads better than it is: a site is in both indexes before it has a record, and gone from them after it has none.
 */
export function clusterStore(cluster: Cluster, { maxSites }: { maxSites: number }): Store {
  cluster.defineCommand("commitInSlot", { lua: COMMIT, numberOfKeys: 2 });
  cluster.defineCommand("forgetInSlot", { lua: FORGET, numberOfKeys: 2 });
  cluster.defineCommand("addSite", { lua: ADD_SITE, numberOfKeys: 1 });
  cluster.defineCommand("scheduleSweep", { lua: SCHEDULE, numberOfKeys: 1 });
  cluster.defineCommand("countCommit", { lua: COUNT, numberOfKeys: 1 });
  // One node may lose its data, or fall back to an older copy, and the counter of commits lie on another.
  let changesOfNodes = 0;
  for (const event of ["+node", "-node"]) cluster.on(event, () => (changesOfNodes += 1));
  const singleKey = singleKeyStore(cluster);

  async function removeFromIndexes(site: string): Promise<void> {
    await Promise.all([cluster.srem(SITES, site), cluster.zrem(SWEEPS, site)]);
    // It may have been heard again since it was found to be forgotten.
    const { record } = await singleKey.load(site);
    if (!record) return;
    await cluster.addSite(SITES, site, String(maxSites));
    await cluster.scheduleSweep(SWEEPS, site, String(record.sweepAtMs), "NX");
  }

  async function commitSite(
    { version }: Stored,
    site: string,
    record: SiteRecord | undefined,
    history: string,
  ): Promise<CommitResult> {
    if ((await cluster.addSite(SITES, site, String(maxSites))) === 0) return "full";
    const sweepAt = record && String(record.sweepAtMs);
    // A time that is too early costs the sweep a look; with none at all it would never come by.
    if (sweepAt) await cluster.scheduleSweep(SWEEPS, site, sweepAt, "NX");
    const given = [String(version), record ? JSON.stringify(record) : "", history];
    const reply = await cluster.commitInSlot(siteKey(site), eventsKey(site), ...given);
    if (reply === 0) return "conflict";
    // Whoever found it forgotten may have taken it out meanwhile.
    await cluster.addSite(SITES, site, String(maxSites));
    if (sweepAt) await cluster.scheduleSweep(SWEEPS, site, sweepAt, "CH");
    await cluster.countCommit(GENERATION);
    return "committed";
  }

  return {
    ...singleKey,
    async loadAll() {
      const sites = await cluster.smembers(SITES);
      const loaded = await Promise.all(
        sites.map(async (site) => ({ site, ...(await singleKey.load(site)) })),
      );
      const [forgotten, others] = [
        loaded.filter(({ record, forgottenAtMs }) => !record && forgottenAtMs !== undefined),
        loaded.filter(({ record, forgottenAtMs }) => record || forgottenAtMs === undefined),
      ];
      // Whoever forgot them was interrupted.
      await Promise.all(forgotten.map(({ site }) => removeFromIndexes(site)));
      return allSites(
        others.map(({ site }) => site),
        others.flatMap(({ record }) => record ?? []),
      );
    },
    async commit(before, record, events, corrections) {
      const history = historyChanges(events, corrections, record.components.length);
      return await commitSite(before, record.site, record, history);
    },
    async commitEvents(before, site, events, corrections) {
      return await commitSite(before, site, undefined, historyChanges(events, corrections, 0));
    },
    async forget({ version }, site, nowMs) {
      const given = [String(version), String(nowMs), String(FORGOTTEN_FOR_S)];
      if ((await cluster.forgetInSlot(siteKey(site), eventsKey(site), ...given)) === 0) return false;
      await removeFromIndexes(site);
      await cluster.countCommit(GENERATION);
      return true;
    },
    async generation() {
      const generation = await singleKey.generation();
      return generation === undefined ? undefined : `${generation} ${changesOfNodes}`;
    },
    async ping() {
      // One node may be full, or away, and the others not.
      await Promise.all(KEYS_ALL_OVER.map((key) => cluster.eval(TAKE_NOTHING, 1, key)));
    },
    // The old reader knows no cluster.
    async writeAsUpstream() {},
    async tellUnknownSites() {},
    async reconcileReader() {},
  };
}

declare module "ioredis" {
  /** What defineCommand adds. */
  interface RedisCommander<Context> {
    commitInSlot(...keysAndArguments: string[]): Result<number, Context>;
    forgetInSlot(...keysAndArguments: string[]): Result<number, Context>;
    addSite(...keysAndArguments: string[]): Result<number, Context>;
    scheduleSweep(...keysAndArguments: string[]): Result<string, Context>;
    countCommit(...keysAndArguments: string[]): Result<string, Context>;
  }
}
