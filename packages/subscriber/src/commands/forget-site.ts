import { type Command, UsageError } from "@pipeline-heartbeat/shared/command-line.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { printable } from "@pipeline-heartbeat/shared/printable.ts";
import { redisStore } from "../redis/store.ts";
import type { Store } from "../store.ts";
import { withRedis } from "./with-redis.ts";

const MAX_CONFLICTS = 10;

/** Forgets a site that was renamed or taken away, which would otherwise be silent for ever. */
export function forgetSite(env: Env): Command {
  return {
    usage: "NAME",
    summary: "forgets a site that was renamed or taken away; a heartbeat sent later brings it back",
    async run(args) {
      const [name, ...more] = args;
      if (name === undefined || more.length > 0) throw new UsageError("expects the name of one site");
      return await withRedis(env, async (redis, config) => {
        const store = redisStore(redis, config.store);
        const { records, lost } = await store.loadAll();
        const known = [...records.map(({ site }) => site), ...lost].toSorted();
        if (!known.includes(name)) {
          const list = known.length > 0 ? `known are: ${printable(known.join(", "))}` : "none is known";
          process.stderr.write(`no site of that name is known; ${list}\n`);
          return 1;
        }
        const isForgotten = await forget(store, name, config.verdict.expectedSites);
        if (!isForgotten) {
          process.stderr.write(`site ${name} is being heard right now; nothing was forgotten\n`);
          return 1;
        }
        process.stdout.write(`site ${name} is forgotten\n`);
        const deadlineMs = records.find(({ site }) => site === name)?.deadlineMs ?? 0;
        if (Date.now() <= deadlineMs) {
          process.stdout.write(
            "it was not silent: if its publisher still runs, its next heartbeat brings it back\n",
          );
        }
        if (config.verdict.expectedSites.includes(name)) {
          process.stdout.write("EXPECTED_SITES names it: until that is changed, /health fails without it\n");
        }
        return 0;
      });
    },
  };
}

/** False when others change the site again and again. */
async function forget(store: Store, name: string, expected: readonly string[]): Promise<boolean> {
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
    if (await store.forget(await store.load(name), name, Date.now(), expected)) return true;
  }
  return false;
}
