import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import type { Command } from "@pipeline-heartbeat/shared/command-line.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { printable } from "@pipeline-heartbeat/shared/printable.ts";
import { readerEntries } from "../reader-keys.ts";
import { deleteLeftovers, leftoverKeys } from "../redis/leftovers.ts";
import { redisStore } from "../redis/store.ts";
import { withRedis } from "./with-redis.ts";

/** Deletes what upstream's subscriber left behind: the old reader believes it for ever. */
export function cleanReaderKeys(env: Env): Command {
  return {
    usage: "[--yes]",
    summary: "lists the old reader's keys that no site reports, asks, and deletes them; --yes does not ask",
    async run(args) {
      const { values } = parseArgs({
        args: [...args],
        options: { yes: { type: "boolean", default: false } },
      });
      return await withRedis(env, async (redis, config) => {
        const store = redisStore(redis, config.store);
        const { records } = await store.loadAll();
        const reported = new Set(records.flatMap(readerEntries).map(({ kind, name }) => `${kind}:${name}`));
        const leftovers = await leftoverKeys(redis, reported);
        if (leftovers.length === 0) {
          process.stdout.write("nothing to delete: every key of the reader belongs to a site\n");
          return 0;
        }
        for (const { key, value } of leftovers) process.stdout.write(`${printable(`${key} = ${value}`)}\n`);
        if (records.length === 0) {
          const why = "no site is known yet: without these keys the reader would say that all is well\n";
          if (config.store.readerKeys !== "reader-safe") {
            process.stderr.write(why);
            return 1;
          }
          process.stdout.write(`${why}in their place it will be told that no site is known\n`);
        }
        if (!values.yes && !(await isAgreed(leftovers.length))) {
          process.stdout.write("nothing was deleted\n");
          return 1;
        }
        await store.tellUnknownSites(config.verdict.expectedSites, Date.now());
        const deleted = await deleteLeftovers(redis, leftovers);
        process.stdout.write(`${deleted.length} of ${leftovers.length} keys deleted\n`);
        return deleted.length === leftovers.length ? 0 : 1;
      });
    },
  };
}

/** Whether whoever sits there says yes; the end of the input is a no. */
async function isAgreed(count: number): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
    const answer = await Promise.race([lines.question(`delete these ${count} keys? [y/N] `), closed]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
