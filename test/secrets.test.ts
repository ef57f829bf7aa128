import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import { once } from "node:events";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { freePorts } from "./brokers/free-ports.ts";
import { freshEnvironment, runCommand, startBundle, temporaryFile } from "./processes.ts";

type Service = "publisher" | "subscriber";
type Env = Record<string, string>;

/** In every secret. What a URL, JSON or a shell has to escape stands beside it. */
const MARK = "hunter2Pz7q";

const keys = generateKeyPairSync("ed25519");
const SIGNING_KEY = keys.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
const { x: publicKey = "", d: privateKey = "" } = keys.privateKey.export({ format: "jwk" });

/** All secrets of the services: each may also come as NAME_FILE. */
const SECRETS: Record<Service, Env> = {
  publisher: { RABBITMQ_PASS: `p/%"'${MARK}ä`, HEARTBEAT_SIGNING_KEY: SIGNING_KEY },
  subscriber: {
    RABBITMQ_PASS: `p/%"'${MARK}ä`,
    REDIS_PASSWORD: `r/%"'${MARK}ä`,
    API_TOKEN: `t-${MARK}`,
    HEARTBEAT_VERIFY_KEYS: `default@*=${Buffer.from(publicKey, "base64url").toString("base64")}`,
  },
};

/** How something secret may look: as it is, in hexadecimal, and in base64, of which there are three. */
function formsOf(bytes: Buffer): string[] {
  const base64 = [0, 1, 2].map((before) => {
    const skipped = Math.ceil((before * 4) / 3);
    return Buffer.concat([Buffer.alloc(before), bytes])
      .toString("base64")
      .slice(skipped, -4);
  });
  return [bytes.toString("hex"), ...base64];
}

const FORMS = [
  MARK,
  ...formsOf(Buffer.from(MARK)),
  ...formsOf(Buffer.from(privateKey, "base64url")),
  ...formsOf(Buffer.from(publicKey, "base64url")),
];

/** The text when there is a secret in it: a test shows what it found. */
function leak(where: string, text: string): string[] {
  const lower = text.toLowerCase();
  return FORMS.some((form) => lower.includes(form.toLowerCase())) ? [`${where}: ${text}`] : [];
}

const config = { heartbeat: { rmq_consumers: [{ queue: "inbox", listeners: [{ tag: "a", name: "a" }] }] } };
const configPath = () => temporaryFile("publisher_config.json", JSON.stringify(config));

/** The secrets, in files. */
function inFiles(secrets: Env): Env {
  const files = Object.entries(secrets).map(([name, secret]) => [
    `${name}_FILE`,
    temporaryFile(name, secret),
  ]);
  return Object.fromEntries(files);
}

/** A management API, or a proxy before it, whose errors repeat the request. */
async function repeatingServer(): Promise<number> {
  const server = http.createServer(({ headers, url }, response) => {
    response.writeHead(500).end(JSON.stringify([url, headers]));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

interface Trouble {
  readonly env: Env;
  /** What the service says of it. */
  readonly told: readonly string[];
}

/** Runs a service for each trouble, and returns where there was a secret. */
async function leaksOf(service: Service, troubles: readonly Trouble[]): Promise<string[]> {
  const ports = await freePorts(troubles.length);
  const leaks = troubles.map(({ env, told }, index) => leaksIn(service, ports[index], env, told));
  return (await Promise.all(leaks)).flat();
}

/** Runs a service until it has told of its trouble, asks it for all that it tells, and stops it. */
async function leaksIn(service: Service, port: number | undefined, env: Env, told: readonly string[]) {
  const common = { LOG_LEVEL: "trace", HTTP_HOST: "127.0.0.1", HTTP_PORT: String(port) };
  const { child, printed, ended } = startBundle(service, { ...env, ...common });
  for (const line of [...told, '"listening"']) {
    await expect.poll(printed, { timeout: 20_000 }).toContain(line);
  }
  const found: string[] = [];
  const headers = { authorization: `Bearer ${SECRETS[service]["API_TOKEN"] ?? MARK}` };
  for (const path of ["/livez", "/readyz", "/health", "/heartbeat", "/metrics", "/nowhere"]) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    found.push(...leak(path, `${JSON.stringify([...response.headers])} ${await response.text()}`));
  }
  const inFile = (name: string) => readFileSync(`/proc/${child.pid}/${name}`, "latin1");
  const isInFiles = Object.keys(env).some((name) => name.endsWith("_FILE"));
  for (const name of ["cmdline", "comm", ...(isInFiles ? ["environ"] : [])]) {
    found.push(...leak(name, inFile(name)));
  }
  expect(Number(inFile("coredump_filter"))).toBe(0);
  child.kill("SIGTERM");
  expect(await ended()).toBe(0);
  return [...found, ...leak("output", printed())];
}

describe("no secret is in a log of any level, an answer, the title, the arguments or a core file", () => {
  test("of a publisher, whatever goes wrong with the broker and its management API", async () => {
    const { publisher } = await freshEnvironment();
    const { RABBITMQ_PASS: _, ...base } = {
      ...publisher,
      PUBLISHER_CONFIG_PATH: configPath(),
      PROBE_INTERVAL: "0.5",
    };
    const secrets = SECRETS.publisher;
    const [ofApi, ofRedis] = [String(inject("rabbitmq").managementPort), String(inject("redis").port)];
    const away = ["broker unavailable", "management API unavailable"];
    const troubles = [
      { env: inFiles(secrets), told: ["refuses the login of user", "the management API answered 401"] },
      { env: { ...secrets, RABBITMQ_PORT: ofApi, RABBITMQ_MANAGEMENT_PORT: ofRedis }, told: away },
      {
        env: { ...secrets, RABBITMQ_TLS: "true", RABBITMQ_TLS_PORT: base.RABBITMQ_PORT },
        told: [...away, "does not speak TLS"],
      },
      {
        env: { ...secrets, RABBITMQ_MANAGEMENT_PORT: String(await repeatingServer()) },
        told: ["the management API answered 500", "(credentials)"],
      },
    ];
    const all = troubles.map(({ env, told }) => ({ env: { ...base, ...env }, told }));
    expect(await leaksOf("publisher", all)).toEqual([]);
  });

  test("of a subscriber, whatever goes wrong with the broker and Redis", async () => {
    const { subscriber } = await freshEnvironment();
    const { RABBITMQ_PASS: _, ...base } = { ...subscriber, REDIS_USERNAME: "nobody" };
    const secrets = SECRETS.subscriber;
    const { RABBITMQ_PORT: ofRabbitmq, REDIS_PORT: ofRedis } = base;
    const redis = `${base.REDIS_HOST}:${ofRedis}`;
    const ofApi = String(inject("rabbitmq").managementPort);
    const away = ["broker unavailable", "redis unavailable"];
    const troubles = [
      { env: inFiles(secrets), told: [...away, "refuses the login of user", "WRONGPASS"] },
      { env: { ...secrets, RABBITMQ_PORT: ofApi, REDIS_PORT: ofApi }, told: away },
      {
        env: { ...secrets, REDIS_TLS: "true", RABBITMQ_TLS: "true", RABBITMQ_TLS_PORT: ofRabbitmq },
        told: [...away, "does not speak TLS"],
      },
      { env: { ...secrets, REDIS_DB: "0", REDIS_CLUSTER_NODES: redis }, told: away },
      { env: { ...secrets, REDIS_SENTINELS: redis, REDIS_SENTINEL_NAME: "main" }, told: away },
    ];
    const all = troubles.map(({ env, told }) => ({ env: { ...base, ...env }, told }));
    expect(await leaksOf("subscriber", all)).toEqual([]);
  });
});

test.each(["print-config", "probe", "print-heartbeat"])(
  "%s of the publisher prints no secret",
  async (command) => {
    const { publisher } = await freshEnvironment();
    const { RABBITMQ_PASS: _, ...rest } = publisher;
    const port = String(await repeatingServer());
    const base = {
      ...rest,
      RABBITMQ_MANAGEMENT_PORT: port,
      PUBLISHER_CONFIG_PATH: configPath(),
      LOG_LEVEL: "trace",
      HEARTBEAT_DETAIL: "text",
    };
    for (const secrets of [SECRETS.publisher, inFiles(SECRETS.publisher)]) {
      const { stdout, stderr } = await runCommand("publisher", [command], { ...base, ...secrets });
      expect(stdout).toContain("inbox");
      expect(leak("output", `${stdout}${stderr}`)).toEqual([]);
    }
  },
);

test.each(["publisher", "subscriber"] as const)(
  "a wrong configuration of the %s is told without a secret, also where one stands in the wrong place",
  async (service) => {
    const misplaced = `amqp://user:${MARK}@mq:5672`;
    const { printed, ended } = startBundle(service, {
      ...SECRETS[service],
      ...inFiles(SECRETS[service]),
      LOG_LEVEL: MARK,
      PUBLISHER_CONFIG_PATH: temporaryFile("publisher_config.json", `{"heartbeat":"${MARK}"}`),
      RABBITMQ_HOST: misplaced,
      RABBITMQ_PORT: misplaced,
      RABBITMQ_MANAGEMENT_URL: `https://user:${MARK}@mq:15671`,
      REDIS_HOST: misplaced,
      REDIS_PORT: misplaced,
      REDIS_SENTINELS: misplaced,
      HEARTBEAT_SITE: misplaced,
      HEARTBEAT_SIGNING_KEY_ID: misplaced,
    });
    expect(await ended()).toBe(78);
    expect(printed()).toContain("RABBITMQ_PASS: set together with RABBITMQ_PASS_FILE");
    expect(leak("output", printed())).toEqual([]);
  },
);
