import type { Sign } from "../packages/shared/src/signature.ts";
import type { Random } from "./random.ts";

const MEBIBYTE = 1024 * 1024;

/** A heartbeat in which everything is right but what a poison puts in the place of something. */
function almost(id: string, v2: object, top: object = {}): string {
  const now = new Date().toISOString();
  const component = { kind: "service", name: "db", state: "down", observedAt: now };
  return JSON.stringify({
    poison: id,
    status: "heartbeat",
    service: "publisher",
    timestamp: "2026-11-22 10:35:06 UTC",
    hosts: [],
    rmq_consumers: { queues_status: [], services_status: [] },
    ...top,
    v2: {
      site: "north",
      bootId: id,
      sequence: 1,
      sentAt: now,
      uptimeMs: 1,
      intervalSeconds: 2,
      cause: "interval",
      components: [component],
      ...v2,
    },
  });
}

const component = (change: object) => ({
  components: [
    { kind: "service", name: "db", state: "down", observedAt: new Date().toISOString(), ...change },
  ],
});

/** Messages that must be quarantined. Each has its id within its first bytes, by which it is found there. */
const POISONS: Readonly<Record<string, (id: string) => string | Buffer>> = {
  "no JSON": (id) => `${id} is no JSON`,
  "half a JSON": (id) => almost(id, {}).slice(0, -20),
  "not UTF-8": (id) =>
    Buffer.concat([Buffer.from(`{"poison":"${id}","x":"`), Buffer.from([0xff, 0xfe, 0x22, 0x7d])]),
  "a byte order mark and nothing": (id) => `\uFEFF${id}`,
  "a list": (id) => JSON.stringify([id]),
  "a text": (id) => JSON.stringify(id),
  "another status": (id) => almost(id, {}, { status: "hello" }),
  "no rmq_consumers": (id) => almost(id, {}, { rmq_consumers: undefined }),
  "hosts that are no list": (id) => almost(id, {}, { hosts: "db" }),
  "a site with a path": (id) => almost(id, { site: "../../etc" }),
  "a site of another type": (id) => almost(id, { site: { toString: "north" } }),
  "a huge sequence": (id) => almost(id, { sequence: 1e308 }),
  "a sequence below zero": (id) => almost(id, { sequence: -1 }),
  "no boot": (id) => almost(id, { bootId: "" }),
  "a time that is none": (id) => almost(id, { sentAt: "yesterday" }),
  "an interval of a year": (id) => almost(id, { intervalSeconds: 31_536_000 }),
  "another cause": (id) => almost(id, { cause: "__proto__" }),
  "another state": (id) => almost(id, component({ state: "constructor" })),
  "no name": (id) => almost(id, component({ name: "" })),
  "half a surrogate pair": (id) =>
    almost(id, component({ name: "PAIR" })).replace("PAIR", String.raw`\ud800`),
  "a long name": (id) => almost(id, component({ name: "n".repeat(100_000) })),
  "deep nesting": (id) => `{"poison":"${id}","x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`,
  "many keys": (id) =>
    `{"poison":"${id}"${Array.from({ length: 20_000 }, (_, key) => `,"k${key}":${key}`).join("")}}`,
  "more than a mebibyte": (id) => `{"poison":"${id}","x":"${"x".repeat(MEBIBYTE)}"}`,
};

export interface Poison {
  readonly id: string;
  readonly kind: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** Matches the id of a poison in what was quarantined. */
export const POISON_ID = /poison-\d+-[0-9a-f]+-end/;

/** How one speaks who has the keys of sites, by their names. */
export type Signers = ReadonlyMap<string, Sign>;

/** Perfect heartbeats, but for who signed what. */
const FORGERIES: Readonly<Record<string, (body: Buffer, signers: Signers) => Poison["headers"]>> = {
  "not signed": () => ({}),
  "signed by another site": (body, signers) => signers.get("south")?.(body) ?? {},
  "altered after it was signed": (body, signers) => signers.get("north")?.(body.subarray(1)) ?? {},
  "signed by an unknown key": (body, signers) => ({
    ...signers.get("north")?.(body),
    "x-heartbeat-key-id": "nobody's",
  }),
  "half a signature": (body, signers) => ({
    ...signers.get("north")?.(body),
    "x-heartbeat-signature": "v1=AAAA",
  }),
};

/** Nonsense that a site signs, as a stolen publisher may, or a forgery. */
export function nextPoison(random: Random, count: number, signers: Signers): Poison {
  const id = `poison-${count}-${Math.floor(random.between(0, 2 ** 32)).toString(16)}-end`;
  const kind = random.oneOf([...Object.keys(POISONS), ...Object.keys(FORGERIES)]);
  const body = Buffer.from(POISONS[kind]?.(id) ?? almost(id, {}));
  const headers = FORGERIES[kind]?.(body, signers) ?? signers.get("north")?.(body) ?? {};
  return { id, kind, body, headers };
}
