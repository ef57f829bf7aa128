import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

interface Service {
  readonly [key: string]: unknown;
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks?: unknown;
}

function read(path: string): Compose {
  return parse(readFileSync(path, "utf8"), { merge: true });
}

const { services, networks } = read("docker/compose.yaml");
const { services: overlay } = read("docker/compose.tls.yaml");
const { rabbitmq, redis, publisher, subscriber, ...examples } = services;

const healthy = { condition: "service_healthy" };
const done = { condition: "service_completed_successfully" };

/** What a running stack shows too late, or not at all: docker/test tries the rest. */
describe("compose.yaml", () => {
  test("starts each service when those it needs are healthy", () => {
    expect(publisher).toMatchObject({ depends_on: { rabbitmq: healthy } });
    expect(subscriber).toMatchObject({ depends_on: { rabbitmq: healthy, redis: healthy } });
    expect(examples["pipeline-publisher"]).toMatchObject({ depends_on: { rabbitmq: healthy } });
    expect(examples["sda-ingest"]).toMatchObject({ depends_on: { rabbitmq: healthy } });
  });

  test("takes servers for healthy when they answer clients, and ours when they are ready", () => {
    const test = (service: Service | undefined) => service?.["healthcheck"];
    expect(test(rabbitmq)).toMatchObject({
      test: ["CMD", "rabbitmq-diagnostics", "-q", "check_port_connectivity"],
    });
    expect(test(redis)).toMatchObject({ test: ["CMD-SHELL", expect.stringContaining("redis-cli ping")] });
    const main = ["/nodejs/bin/node", "/opt/pipeline-heartbeat/main.js"];
    for (const service of [publisher, subscriber, examples["pipeline-publisher"]]) {
      expect(test(service)).toMatchObject({ test: ["CMD", ...main, "healthcheck", "--ready"] });
    }
  });

  test("starts the example pipeline with its profile only", () => {
    for (const [name, { profiles }] of Object.entries(examples)) {
      expect([name, profiles]).toEqual([name, ["pipeline"]]);
    }
    for (const service of [rabbitmq, redis, publisher, subscriber]) {
      expect(service).not.toHaveProperty("profiles");
    }
  });

  test.each(Object.entries(services))("locks %s down and limits it", (_, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      mem_limit: expect.stringMatching(/^\d+m$/),
      cpus: expect.any(Number),
      pids_limit: expect.any(Number),
      logging: { options: { "max-size": expect.any(String), "max-file": expect.any(String) } },
    });
    expect(service).not.toHaveProperty("cap_add");
    expect(service).not.toHaveProperty("privileged");
  });

  // Engines keep networks apart as well: a test of connections would not tell.
  test("gives what is inside no way out but the broker", () => {
    expect(networks).toEqual({ inside: { internal: true }, outside: {} });
    for (const service of [publisher, ...Object.values(examples)]) {
      expect(service).toMatchObject({ networks: ["inside"] });
    }
  });

  test("has Redis write down what it is told, and evict nothing", () => {
    expect(redis?.command?.join(" ")).toContain("--appendonly yes");
    expect(redis?.command?.join(" ")).toContain("--maxmemory-policy noeviction");
  });

  test("keeps what the servers store in volumes that outlive them", () => {
    expect(redis).toMatchObject({ volumes: ["redis-data:/data"] });
    expect(rabbitmq?.["volumes"]).toContain("rabbitmq-data:/var/lib/rabbitmq");
  });
});

describe("compose.tls.yaml", () => {
  test("starts the servers when their certificates are made", () => {
    expect(overlay["rabbitmq"]).toMatchObject({ depends_on: { certificates: done } });
    expect(overlay["redis"]).toMatchObject({ depends_on: { certificates: done } });
  });

  test("repeats what Redis is told without it, but for the port", () => {
    const own = redis?.command ?? [];
    expect(overlay["redis"]?.command?.slice(0, own.length)).toEqual(own);
    expect(overlay["redis"]?.command?.slice(own.length, own.length + 2)).toEqual(["--port", "0"]);
  });

  test("shows the certificate of the authority to whoever asks the broker, and tells them to check", () => {
    const clients = Object.entries(services).filter(([, { environment }]) =>
      JSON.stringify(environment ?? {}).includes("RABBITMQ_HOST"),
    );
    expect(clients.length).toBeGreaterThan(2);
    for (const [name] of clients) {
      expect([name, overlay[name]]).toMatchObject([
        name,
        {
          environment: { RABBITMQ_TLS: "true", RABBITMQ_CA_CERT_PATH: "/tls/ca.crt" },
          volumes: ["tls-clients:/tls:ro"],
        },
      ]);
    }
  });

  test("makes the certificates with one right, on no network", () => {
    expect(overlay["certificates"]).toMatchObject({
      read_only: true,
      cap_drop: ["ALL"],
      cap_add: ["CHOWN"],
      security_opt: ["no-new-privileges:true"],
      network_mode: "none",
    });
    expect(overlay["certificates"]).not.toHaveProperty("restart");
  });
});
