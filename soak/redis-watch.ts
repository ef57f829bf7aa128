import * as z from "zod";
import { readerAnswer } from "../packages/subscriber/test/reader.ts";
import { connectRedis } from "../test/brokers/redis-connection.ts";
import type { Age, StreamEntry } from "./invariants/events.ts";
import { POISON_ID } from "./poison.ts";

/** Reads along in Redis, so that nothing of a capped stream or list is missed. */
export interface RedisWatch {
  /** What was in the streams until Redis was emptied, each time, and since then. */
  readonly ages: readonly Age[];
  /** The ids of the poisons that were found in quarantine. */
  readonly quarantined: ReadonlySet<string>;
  /** What was found in quarantine and is no poison. */
  readonly wronglyQuarantined: readonly string[];
  /** False when Redis cannot be read at this time. */
  look(): Promise<boolean>;
  /** Takes in what stands there and empties it, in one. */
  empty(): Promise<void>;
  /** What is asked of Redis by the way; rejects when it does not answer. */
  command(name: string, ...args: (string | number)[]): Promise<unknown>;
  /** What the old reader says now, and whether that depends on the order in which it is given the keys. */
  askReader(): Promise<{ answer: ReturnType<typeof readerAnswer>; isCertain: boolean }>;
}

const streamSchema = z.array(z.tuple([z.string(), z.array(z.string())]));
const rejectedSchema = z.object({ reason: z.string(), code: z.string().optional(), head: z.string() });
const eventSchema = z.object({ kind: z.string(), name: z.string(), state: z.string(), since: z.string() });

/** All streams but the last key, which is a list. */
const READ = `
  local found = {}
  for i = 1, #KEYS - 1 do found[i] = redis.call("XRANGE", KEYS[i], "-", "+") end
  found[#KEYS] = redis.call("LRANGE", KEYS[#KEYS], 0, -1)
  return found`;
const READ_AND_EMPTY = READ.replace("return", 'redis.call("FLUSHALL") return');

/** All at the same moment, as pairs of key and value. */
const READER_KEYS = `
  local found = {}
  for _, pattern in ipairs({ "service:*", "queue:*" }) do
    for _, key in ipairs(redis.call("KEYS", pattern)) do found[#found + 1] = { key, redis.call("GET", key) or "" } end
  end
  return found`;

export function redisWatch(address: { host: string; port: number }, sites: readonly string[]): RedisWatch {
  const past: Age[] = [];
  /** By site and id in its stream. */
  let seen = new Map<string, StreamEntry>();
  let standing: StreamEntry[] = [];
  const quarantined = new Set<string>();
  const wronglyQuarantined: string[] = [];

  async function command(name: string, ...args: (string | number)[]): Promise<unknown> {
    const redis = await connectRedis(address);
    try {
      return await redis.command(name, ...args);
    } finally {
      redis.close();
    }
  }

  function takeEvents(site: string, reply: unknown): StreamEntry[] {
    return streamSchema.parse(reply).map(([id, list]) => {
      const pairs = list.flatMap((field, index) => (index % 2 === 0 ? [[field, list[index + 1]]] : []));
      const event = { id, site, ...eventSchema.parse(Object.fromEntries(pairs)) };
      seen.set(`${site} ${id}`, event);
      return event;
    });
  }

  function takeRejected(reply: unknown): void {
    for (const entry of z.array(z.string()).parse(reply)) {
      const { reason, code, head } = rejectedSchema.parse(JSON.parse(entry));
      const [id] = POISON_ID.exec(head) ?? [];
      if (id !== undefined) quarantined.add(id);
      // A stranger repeats messages.
      else if (code === "replayed") continue;
      else if (!wronglyQuarantined.includes(`${reason}: ${head}`))
        wronglyQuarantined.push(`${reason}: ${head}`);
    }
  }

  const keys = [...sites.map((site) => `heartbeat:{${site}}:events`), "heartbeat:rejected"];

  async function read(script: string): Promise<void> {
    const replies = await command("EVAL", script, keys.length, ...keys);
    const lists = z.array(z.unknown()).parse(replies);
    standing = sites.flatMap((site, index) => takeEvents(site, lists[index]));
    takeRejected(lists[sites.length]);
  }

  const age = (): Age => ({ standing, seen: [...seen.values()] });
  return {
    get ages() {
      return [...past, age()];
    },
    quarantined,
    wronglyQuarantined,
    command,
    async look() {
      try {
        await read(READ);
        return true;
      } catch {
        return false; // away, hanging or loading
      }
    },
    async empty() {
      await read(READ_AND_EMPTY);
      past.push(age());
      [standing, seen] = [[], new Map()];
    },
    async askReader() {
      const pairs = z.array(z.tuple([z.string(), z.string()])).parse(await command("EVAL", READER_KEYS, 0));
      const answer = readerAnswer(pairs);
      const other = readerAnswer(pairs.toReversed());
      return { answer, isCertain: JSON.stringify(sorted(answer)) === JSON.stringify(sorted(other)) };
    },
  };
}

function sorted({ http, status, services, queues }: ReturnType<typeof readerAnswer>) {
  return [http, status, byName(services), byName(queues)];
}

function byName(entries: object) {
  return Object.entries(entries).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
