import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateFile, privateKeyFile } from "@pipeline-heartbeat/shared/pem-file.ts";
import type { TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { strictTlsServer } from "../../../test/strict-tls-server.ts";
import { tlsProxy } from "../../../test/tls-proxy.ts";
import { management } from "../src/probes/management.ts";

const HOUR_MS = 3_600_000;
const here = ["DNS:localhost", "IP:127.0.0.1"];
const folder = mkdtempSync(join(tmpdir(), "management-tls-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

let authority: Authority;
let stranger: Authority;
let server: Certificate;
let expired: Certificate;

beforeAll(() => {
  authority = createAuthority(folder, { name: "site-ca" });
  stranger = createAuthority(folder, { name: "other-ca" });
  server = authority.issue({ name: "localhost", altNames: here });
  expired = authority.issue({ name: "expired", altNames: here, validUntil: new Date(Date.now() - HOUR_MS) });
});

/** As the configuration reads them from RABBITMQ_CA_CERT_PATH and the like. */
function tlsWith(ca: string | undefined, serverName = "localhost", client?: Certificate): TlsSettings {
  return {
    ca: certificateFile().parse(ca),
    cert: certificateFile().parse(client?.certPath),
    key: privateKeyFile().parse(client?.keyPath),
    serverName,
  };
}

/** The real management API, reached by TLS. */
async function apiBehindTls(certificate: Certificate, options?: { clientCa: Certificate }) {
  const { host, managementPort } = inject("rabbitmq");
  return await tlsProxy({ host, port: managementPort }, certificate, options);
}

function apiAt(address: string, tls: TlsSettings | undefined) {
  const { user, password } = inject("rabbitmq");
  const api = management({ url: address, user, password, vhost: "/", tls });
  onTestFinished(() => api.close());
  return api;
}

const soon = () => AbortSignal.timeout(5_000);

describe("the management API by https", () => {
  test.each([
    { what: "a private authority", host: "localhost", name: "localhost", asked: "localhost" },
    {
      what: "an address, which is not sent as a name",
      host: "127.0.0.1",
      name: "127.0.0.1",
      asked: undefined,
    },
    { what: "another name than the host's", host: "127.0.0.1", name: "localhost", asked: "localhost" },
    {
      what: "an address as another name",
      host: "localhost",
      name: "127.0.0.1",
      asked: "localhost",
      altNames: ["IP:127.0.0.1"],
    },
  ])("answers: $what", async ({ host, name, asked, altNames }) => {
    const certificate = altNames ? authority.issue({ name: "by-address", altNames }) : server;
    const { port, askedNames } = await apiBehindTls(certificate);
    const api = apiAt(`https://${host}:${port}`, tlsWith(authority.certPath, name));
    expect(await api.seesAllConsumers(soon())).toBe(true);
    expect(await api.seesAllConsumers(soon())).toBe(true);
    // One connection does for both.
    expect(askedNames).toEqual([asked]);
  });

  test.each([
    {
      what: "no authority is given",
      ca: () => undefined,
      told: "that this system trusts, and no CA file is set",
    },
    { what: "it is another authority's", ca: () => stranger.certPath, told: "is not from an authority in /" },
    { what: "it has expired", shown: () => expired, ca: () => authority.certPath, told: "expired at 20" },
    {
      what: "it is for another name",
      name: "mq.example",
      ca: () => authority.certPath,
      told: "is not for 'mq.example' but for DNS:localhost, IP Address:127.0.0.1",
    },
  ])("is refused, by cause and never by reason, when $what", async ({ shown, name, ca, told }) => {
    const { port } = await apiBehindTls(shown?.() ?? server);
    const asked = apiAt(`https://localhost:${port}`, tlsWith(ca(), name)).seesAllConsumers(soon());
    await expect(asked).rejects.toMatchObject({ reason: "tls_failed" });
    await expect(asked).rejects.toThrow(told);
    await expect(asked).rejects.toThrow(`the certificate of localhost:${port} `);
  });

  test("is not talked out of its checks by NODE_TLS_REJECT_UNAUTHORIZED=0, with or without settings", async () => {
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    onTestFinished(() => void vi.unstubAllEnvs());
    const { port } = await apiBehindTls(server);
    for (const tls of [tlsWith(stranger.certPath), tlsWith(authority.certPath, "mq.example"), undefined]) {
      const asked = apiAt(`https://localhost:${port}`, tls).seesAllConsumers(soon());
      await expect(asked).rejects.toMatchObject({ reason: "tls_failed" });
    }
  });

  test("takes a client certificate, and tells when that is refused", async () => {
    const client = authority.issue({ name: "client" });
    const { port } = await apiBehindTls(server, { clientCa: authority });
    const api = apiAt(`https://localhost:${port}`, tlsWith(authority.certPath, "localhost", client));
    expect(await api.seesAllConsumers(soon())).toBe(true);
    const strict = `https://localhost:${await strictTlsServer(server, stranger, "tls1_3")}`;
    await expect(
      apiAt(strict, tlsWith(authority.certPath, "localhost", client)).seesAllConsumers(soon()),
    ).rejects.toThrow(`refuses the client certificate ${client.certPath}`);
    await expect(apiAt(strict, tlsWith(authority.certPath)).seesAllConsumers(soon())).rejects.toThrow(
      "demands a client certificate, and none is set",
    );
  });

  test("at the wrong port is told: https to a plain port, and http to a TLS port", async () => {
    const { host, managementPort } = inject("rabbitmq");
    const encrypted = apiAt(`https://${host}:${managementPort}`, tlsWith(authority.certPath, host));
    await expect(encrypted.seesAllConsumers(soon())).rejects.toThrow("does not speak TLS");
    const { port } = await apiBehindTls(server);
    await expect(apiAt(`http://localhost:${port}`, undefined).seesAllConsumers(soon())).rejects.toThrow(
      "is it the right port, and one without TLS?",
    );
  });

  test("answers again when the right certificate is shown, or the file of the authority is replaced", async () => {
    const ca = join(folder, "replaced.pem");
    cpSync(stranger.certPath, ca);
    const proxy = await apiBehindTls(expired);
    const api = apiAt(`https://localhost:${proxy.port}`, tlsWith(ca));
    await expect(api.seesAllConsumers(soon())).rejects.toThrow("expired at");
    proxy.show(server);
    await expect(api.seesAllConsumers(soon())).rejects.toThrow(`is not from an authority in ${ca}`);
    cpSync(authority.certPath, ca);
    expect(await api.seesAllConsumers(soon())).toBe(true);
  });

  test("has its certificate checked at each connection: none is resumed", async () => {
    const proxy = await apiBehindTls(server);
    const api = apiAt(`https://localhost:${proxy.port}`, tlsWith(authority.certPath));
    expect(await api.seesAllConsumers(soon())).toBe(true);
    proxy.show(expired);
    // The first goes over the connection that was kept, the second needs one of its own.
    const asked = await Promise.allSettled([api.seesAllConsumers(soon()), api.seesAllConsumers(soon())]);
    expect(asked.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(String(asked.map((result) => result.status === "rejected" && result.reason))).toContain(
      "expired at",
    );
  });
});
