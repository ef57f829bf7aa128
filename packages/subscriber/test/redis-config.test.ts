import { describe, expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { redisName } from "../src/redis-config.ts";

function problems(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    return String(error);
  }
  return "none";
}

describe("where the state is kept", () => {
  test.each([
    { env: {}, name: "redis:6379" },
    { env: { REDIS_HOST: "::1", REDIS_PORT: "1" }, name: "[::1]:1" },
    {
      env: { REDIS_SENTINELS: "a:1, b ,[fd00::1]:2,[::1]", REDIS_SENTINEL_NAME: "main" },
      name: "primary main of the sentinels a:1, b:26379, [fd00::1]:2, [::1]:26379",
    },
    { env: { REDIS_CLUSTER_NODES: "10.0.0.1:7000,b" }, name: "cluster 10.0.0.1:7000, b:6379" },
    { env: { REDIS_SENTINELS: "", REDIS_SENTINEL_NAME: "", REDIS_CLUSTER_NODES: "" }, name: "redis:6379" },
  ])("is $name with $env", ({ env, name }) => {
    expect(redisName(readConfig(env).redis.servers)).toBe(name);
  });

  test("a database counts behind sentinels, user, password and TLS everywhere", () => {
    const env = { REDIS_DB: "3", REDIS_USERNAME: "u", REDIS_PASSWORD: "p", REDIS_TLS: "true" };
    const common = { username: "u", password: "p", tls: { ca: undefined } };
    const sentinels = { REDIS_SENTINELS: "a", REDIS_SENTINEL_NAME: "main" };
    expect(readConfig({ ...env, ...sentinels }).redis).toMatchObject({ ...common, servers: { db: 3 } });
    const cluster = { REDIS_CLUSTER_NODES: "a", REDIS_DB: "0" };
    expect(readConfig({ ...env, ...cluster }).redis).toMatchObject(common);
  });

  test.each([
    { env: {}, keys: "reader-safe" },
    { env: { LEGACY_KEYS: "upstream" }, keys: "upstream" },
    { env: { REDIS_SENTINELS: "a", REDIS_SENTINEL_NAME: "main" }, keys: "reader-safe" },
    { env: { REDIS_CLUSTER_NODES: "a" }, keys: "off" },
    { env: { REDIS_CLUSTER_NODES: "a", LEGACY_KEYS: "off" }, keys: "off" },
  ])("the reader's keys are $keys with $env", ({ env, keys }) => {
    expect(readConfig(env).store.readerKeys).toBe(keys);
  });

  test.each(["REDIS_HOST", "REDIS_PORT"])(
    "%s beside other addresses is warned about, not refused",
    (name) => {
      const env = { [name]: "6379", REDIS_CLUSTER_NODES: "a" };
      expect(readConfig(env).warnings).toEqual([`${name} is not used: REDIS_CLUSTER_NODES is set`]);
      expect(readConfig({ [name]: "6379" }).warnings).toEqual([]);
    },
  );
});

describe("a configuration problem is", () => {
  test.each([
    { env: { REDIS_SENTINELS: "a" }, told: "REDIS_SENTINELS, REDIS_SENTINEL_NAME: set both or neither" },
    { env: { REDIS_SENTINEL_NAME: "a" }, told: "REDIS_SENTINELS, REDIS_SENTINEL_NAME: set both or neither" },
    {
      env: { REDIS_SENTINELS: "a", REDIS_SENTINEL_NAME: "main", REDIS_CLUSTER_NODES: "b" },
      told: "REDIS_CLUSTER_NODES: set together with REDIS_SENTINELS",
    },
    { env: { REDIS_CLUSTER_NODES: "a", REDIS_DB: "1" }, told: "REDIS_DB: expected 0" },
    { env: { REDIS_CLUSTER_NODES: "a", LEGACY_KEYS: "reader-safe" }, told: "LEGACY_KEYS: expected off" },
    { env: { REDIS_CLUSTER_NODES: "a", LEGACY_KEYS: "upstream" }, told: "LEGACY_KEYS: expected off" },
  ])("$env", ({ env, told }) => {
    expect(problems(env)).toContain(told);
  });

  test.each([
    "a:",
    "a:0",
    "a:65536",
    "a:x",
    "a,,b",
    "a,",
    ":1",
    "::1",
    "[a]",
    "[::1",
    "redis://a",
    "u@a",
    "a b",
  ])("the address list %j, told without its value", (list) => {
    const told = problems({ REDIS_CLUSTER_NODES: list });
    expect(told).toContain("REDIS_CLUSTER_NODES: expected host:port with commas between them");
    if (list.length > 4) expect(told).not.toContain(list);
  });

  test.each(["redis://:hunter2@a", "u:hunter2@a", "a b"])("a host %j, told without its value", (host) => {
    expect(problems({ REDIS_HOST: host })).toContain("REDIS_HOST: expected a name or an address, not a URL");
    expect(problems({ REDIS_HOST: host })).not.toContain(host);
  });

  test("told beside all the others", () => {
    const env = { REDIS_CLUSTER_NODES: "a", REDIS_SENTINELS: "b:x", REDIS_DB: "1", LEGACY_KEYS: "upstream" };
    const told = problems(env);
    for (const name of ["REDIS_SENTINELS:", "REDIS_SENTINEL_NAME:", "REDIS_DB:", "LEGACY_KEYS:"]) {
      expect(told).toContain(name);
    }
    expect(told).toContain("REDIS_CLUSTER_NODES: set together");
  });
});
