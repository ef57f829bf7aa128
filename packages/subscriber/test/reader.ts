/**
 * The rules of the program that reads the old keys (CONTRACT: FEGA-Norway localega-tsd-proxy, HeartbeatService), as a
 * model. `keys` are in the order in which KEYS gave them: for some states of Redis the answer depends on it.
 */
export interface ReaderAnswer {
  readonly http: 200 | 503 | 500;
  readonly status?: string;
  readonly services: Readonly<Record<string, "OK" | "NOT_OK">>;
  readonly queues: Readonly<Record<string, "OK" | "NOT_OK">>;
}

const TEN_MINUTES_MS = 600_000;

export function readerAnswer(keys: readonly (readonly [key: string, value: string])[]): ReaderAnswer {
  try {
    const services = statuses("service", keys);
    const queues = statuses("queue", keys);
    const isMissing = (list: object) => Object.values(list).includes("NOT_OK");
    const missing = [isMissing(services) && "SERVICES", isMissing(queues) && "QUEUES"].filter(
      (part) => part !== false,
    );
    const status = missing.length === 0 ? "ALL_OK" : `MISSING_${missing.join("_AND_")}`;
    return { http: missing.length === 0 ? 200 : 503, status, services, queues };
  } catch {
    return { http: 500, services: {}, queues: {} };
  }
}

function statuses(
  kind: string,
  keys: readonly (readonly [string, string])[],
): Record<string, "OK" | "NOT_OK"> {
  const seen = new Map<string, { ok?: number; not_ok?: number; last: "OK" | "NOT_OK" }>();
  for (const [key, value] of keys) {
    const parts = key.split(":");
    const [prefix, name = "", status = ""] = parts;
    if (prefix !== kind || parts.length !== 3) continue;
    const lower = status.toLowerCase();
    if (lower !== "ok" && lower !== "not_ok") continue;
    const atMs = parseStrictly(value);
    seen.set(name, { ...seen.get(name), [lower]: atMs, last: lower === "ok" ? "OK" : "NOT_OK" });
  }
  return Object.fromEntries(
    [...seen].map(([name, { ok, not_ok: notOk, last }]) => {
      const isLongOk = ok !== undefined && notOk !== undefined && ok - notOk >= TEN_MINUTES_MS;
      return [name, isLongOk ? "OK" : last];
    }),
  );
}

function parseStrictly(value: string): number {
  if (!/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} UTC$/.test(value)) throw new Error("malformed timestamp");
  return Date.parse(value.replace(" UTC", "Z").replace(" ", "T"));
}
