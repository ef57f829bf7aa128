import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectHealth } from "../../test/processes.ts";
import { composeStack, connectScript, summary } from "./compose-stack.ts";

/** Below the time that a test has, so that what is wrong is still told. */
const UP_WITHIN_MS = 100_000;
const DAY_MS = 24 * 60 * 60 * 1000;

/** Prints when the broker's certificate ends, and its fingerprint, after a handshake that checks its authority and name. */
const CERTIFICATE_SCRIPT = `
  const ca = require("fs").readFileSync("/tls/ca.crt");
  const socket = require("tls").connect({ host: "rabbitmq", port: 5671, servername: "rabbitmq", ca }, () => {
    const { validTo, fingerprint256 } = socket.getPeerX509Certificate();
    console.log(JSON.stringify({ validTo, fingerprint256 }));
    socket.end();
  });`;

describe("compose.tls.yaml", () => {
  const stack = composeStack({ overlays: ["compose.tls.yaml"] });
  const brokerCertificate = async () => JSON.parse(await stack.node("publisher", CERTIFICATE_SCRIPT));

  beforeAll(async () => {
    // These are about to expire when the stack comes up.
    await stack.compose("run", "--rm", "-e", "CERTIFICATE_DAYS=1", "certificates");
    await stack.compose("--profile", "pipeline", "up", "--build", "--detach");
  });
  afterAll(() => stack.remove());

  test("comes up from nothing to /health 200, the example pipeline too", async () => {
    await expectHealth(await stack.url(), UP_WITHIN_MS, (health) =>
      expect(summary(health)).toEqual({ code: 200, problems: [], sites: ["default", "pipeline"] }),
    );
  });

  test("serves neither RabbitMQ, its management API nor Redis without TLS", async () => {
    expect(await stack.node("publisher", connectScript("rabbitmq", 5671))).toBe("open");
    expect(await stack.node("publisher", connectScript("rabbitmq", 5672))).toBe("ECONNREFUSED");
    expect(await stack.node("publisher", connectScript("rabbitmq", 15672))).toBe("ECONNREFUSED");
    const pingRedis = `require("net").connect(6379, "redis", function () { this.write("PING\\r\\n") })
      .on("data", (data) => console.log(String(data))).on("error", (error) => console.log(error.code))`;
    expect(await stack.node("subscriber", pingRedis)).not.toContain("PONG");
  });

  test("has renewed the certificates that were about to expire, and keeps the new ones", async () => {
    const renewed = await brokerCertificate();
    expect(Date.parse(renewed.validTo) - Date.now()).toBeGreaterThan(300 * DAY_MS);
    await stack.compose("up", "--detach");
    await stack.compose("restart", "rabbitmq");
    await expect.poll(() => brokerCertificate().catch(String), { timeout: UP_WITHIN_MS }).toEqual(renewed);
  });

  test("shows each private key to its server alone, and the clients the authority", async () => {
    const listTls = `console.log(require("fs").readdirSync("/tls").join(" "))`;
    for (const service of ["publisher", "subscriber", "pipeline-publisher", "sda-ingest"]) {
      expect(await stack.node(service, listTls)).toBe("ca.crt");
      const { Mounts } = await stack.inspect(service);
      const volumes = Mounts.filter(({ Type }: { Type: string }) => Type === "volume");
      expect(volumes).toMatchObject([{ Destination: "/tls", RW: false }]);
    }
  });
});
