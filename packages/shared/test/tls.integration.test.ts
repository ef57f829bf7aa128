import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { strictTlsServer } from "../../../test/strict-tls-server.ts";
import { type TlsProxy, tlsProxy } from "../../../test/tls-proxy.ts";
import type { BrokerSettings } from "../src/broker-config.ts";
import { certificateFile, privateKeyFile } from "../src/pem-file.ts";
import type { TlsSettings } from "../src/tls.ts";
import { freshBroker, startSession, untilConnected } from "./fresh-broker.ts";

const HOUR_MS = 3_600_000;
const here = ["DNS:localhost", "IP:127.0.0.1"];
const folder = mkdtempSync(join(tmpdir(), "tls-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

let authority: Authority;
let stranger: Authority;
/** An authority of the same name with another key. */
let impostor: Authority;
let server: Certificate;

beforeAll(() => {
  authority = createAuthority(folder, { name: "site-ca" });
  stranger = createAuthority(folder, { name: "other-ca" });
  impostor = createAuthority(join(folder, "impostor"), { name: "site-ca" });
  server = authority.issue({ name: "localhost", altNames: here });
});

/** As the configuration reads them from RABBITMQ_CA_CERT_PATH and the like. */
function tlsWith(ca: string | undefined, client?: Certificate, serverName = "localhost"): TlsSettings {
  return {
    ca: certificateFile().parse(ca),
    cert: certificateFile().parse(client?.certPath),
    key: privateKeyFile().parse(client?.keyPath),
    serverName,
  };
}

/** A vhost of the real broker, reached by TLS. */
async function brokerBehindTls(certificate: Certificate, options?: { clientCa: Certificate }) {
  const { settings } = await freshBroker();
  const proxy = await tlsProxy({ host: settings.host, port: settings.amqpPort }, certificate, options);
  const through = (tls: TlsSettings, host = tls.serverName): BrokerSettings => {
    return { ...settings, host, amqpPort: proxy.port, tls };
  };
  return { proxy, through };
}

/** The cause in the one warning of an outage. */
async function warningOf(lines: readonly string[]): Promise<string> {
  await vi.waitFor(() => expect(lines).toHaveLength(1), { timeout: 10_000 });
  const { msg, cause }: Record<string, string> = JSON.parse(lines[0] ?? "");
  expect(msg).toBe("broker unavailable");
  return cause ?? "";
}

/** Each attempt is two connections: one more look at the certificate that is refused. */
async function someAttempts(proxy: TlsProxy): Promise<void> {
  const before = proxy.connections;
  await vi.waitFor(() => expect(proxy.connections).toBeGreaterThan(before + 4), { timeout: 10_000 });
}

describe("amqps", () => {
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
  ])("connects: $what", async ({ host, name, asked, altNames }) => {
    const certificate = altNames ? authority.issue({ name: "by-address", altNames }) : server;
    const { proxy, through } = await brokerBehindTls(certificate);
    const tls = tlsWith(authority.certPath, undefined, name);
    const { broker, lines } = startSession(through(tls, host));
    await untilConnected(broker);
    expect(proxy.askedNames).toEqual([asked]);
    expect(lines).toEqual([]);
  });

  test("knows an authority by an intermediate one, and takes a bundle of several", async () => {
    const intermediate = authority.issueAuthority({ name: `intermediate-${Date.now()}` });
    const leaf = intermediate.issue({ name: "behind-intermediate", altNames: here });
    const bundle = join(folder, "bundle.pem");
    cpSync(stranger.certPath, bundle);
    appendFileSync(bundle, readFileSync(authority.certPath));
    const { through } = await brokerBehindTls(leaf);
    const { broker, lines } = startSession(through(tlsWith(bundle)));
    await untilConnected(broker);
    expect(lines).toEqual([]);
  });

  test.each([
    {
      what: "no authority is given",
      ca: () => undefined,
      told: "that this system trusts, and no CA file is set",
    },
    {
      what: "it is another authority's",
      ca: () => stranger.certPath,
      told: "(issued by 'site-ca') is not from an authority in ",
    },
    {
      what: "the authority has the same name only",
      ca: () => impostor.certPath,
      told: "(issued by 'site-ca') is not from an authority in ",
    },
  ])("refuses and retries a certificate when $what", async ({ ca, told }) => {
    const { proxy, through } = await brokerBehindTls(server);
    const { broker, lines } = startSession(through(tlsWith(ca())));
    expect(await warningOf(lines)).toContain(told);
    expect(lines[0]).toContain(`the certificate of localhost:${proxy.port} `);
    if (ca()) expect(lines[0]).toContain(ca());
    await someAttempts(proxy);
    expect(lines).toHaveLength(1);
    expect(broker.connectedAtMs).toBeUndefined();
  });

  test.each([
    { what: "expired", dates: { validUntil: new Date(Date.now() - HOUR_MS) }, told: "expired at 20" },
    { what: "early", dates: { validFrom: new Date(Date.now() + HOUR_MS) }, told: "is not valid before 20" },
  ])("refuses and retries an $what certificate, and tells the date", async ({ what, dates, told }) => {
    const late = authority.issue({ name: what, altNames: here, ...dates });
    const { proxy, through } = await brokerBehindTls(late);
    const { lines } = startSession(through(tlsWith(authority.certPath)));
    expect(await warningOf(lines)).toContain(`the certificate of localhost:${proxy.port} ${told}`);
    await someAttempts(proxy);
    expect(lines).toHaveLength(1);
  });

  test("names the authority in the chain that has expired", async () => {
    const validUntil = new Date(Date.now() - HOUR_MS);
    const intermediate = authority.issueAuthority({ name: "expired-intermediate", validUntil });
    const leaf = intermediate.issue({ name: "behind-expired", altNames: here });
    const { through } = await brokerBehindTls(leaf);
    const { lines } = startSession(through(tlsWith(authority.certPath)));
    expect(await warningOf(lines)).toContain(
      "the authority's certificate 'expired-intermediate' in the chain of localhost:",
    );
  });

  test("names an authority of ours that has expired, and tries again", async () => {
    const validUntil = new Date(Date.now() - HOUR_MS);
    const old = createAuthority(folder, { name: "expired-ca", validUntil });
    const { proxy, through } = await brokerBehindTls(old.issue({ name: "of-expired", altNames: here }));
    const { lines } = startSession(through(tlsWith(old.certPath)));
    expect(await warningOf(lines)).toContain(
      "the authority's certificate 'expired-ca' in the chain of localhost:",
    );
    expect(lines[0]).toContain(`expired at ${validUntil.toISOString().slice(0, 17)}`);
    await someAttempts(proxy);
    expect(lines).toHaveLength(1);
  });

  test("refuses a certificate for another name, tells both names, and RABBITMQ_SERVER_NAME is the way out", async () => {
    const elsewhere = authority.issue({ name: "mq.example", altNames: ["DNS:mq.example"] });
    const { proxy, through } = await brokerBehindTls(elsewhere);
    const { lines } = startSession(through(tlsWith(authority.certPath)));
    expect(await warningOf(lines)).toContain(
      `localhost:${proxy.port} is not for 'localhost' but for DNS:mq.example`,
    );
    const tls = tlsWith(authority.certPath, undefined, "mq.example");
    const { broker } = startSession(through(tls, "localhost"));
    await untilConnected(broker);
    expect(proxy.askedNames).toContain("mq.example");
  });

  test("is not talked out of its checks by NODE_TLS_REJECT_UNAUTHORIZED=0", async () => {
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    onTestFinished(() => void vi.unstubAllEnvs());
    const elsewhere = authority.issue({ name: "mq2.example", altNames: ["DNS:mq2.example"] });
    for (const [certificate, ca] of [
      [server, stranger.certPath],
      [elsewhere, authority.certPath],
    ] as const) {
      const { through } = await brokerBehindTls(certificate);
      const { broker, lines } = startSession(through(tlsWith(ca)));
      expect(await warningOf(lines)).toContain("the certificate of localhost:");
      expect(broker.connectedAtMs).toBeUndefined();
    }
  });
});

describe("mutual TLS", () => {
  test("connects with a client certificate that the broker knows", async () => {
    const client = authority.issue({ name: "client" });
    const { through } = await brokerBehindTls(server, { clientCa: authority });
    const { broker, lines } = startSession(through(tlsWith(authority.certPath, client)));
    await untilConnected(broker);
    expect(lines).toEqual([]);
  });

  test("a broker that hangs up without a word makes the client certificate a suspect", async () => {
    const client = stranger.issue({ name: "client" });
    const { through } = await brokerBehindTls(server, { clientCa: authority });
    const unknown = startSession(through(tlsWith(authority.certPath, client)));
    expect(await warningOf(unknown.lines)).toContain(
      `does it accept the client certificate ${client.certPath}?`,
    );
  });

  test.each(["tls1_2", "tls1_3"] as const)(
    "tells why it was refused, by the alert of %s",
    async (version) => {
      const port = await strictTlsServer(server, authority, version);
      const { settings } = await freshBroker();
      const expectRefusal = async (client: Certificate | undefined, told: string) => {
        const tls = tlsWith(authority.certPath, client);
        const { broker, lines } = startSession({ ...settings, host: "localhost", amqpPort: port, tls });
        expect(await warningOf(lines)).toContain(told);
        await broker.close();
      };
      const unknown = stranger.issue({ name: `client-${version}` });
      const expired = authority.issue({ name: `old-${version}`, validUntil: new Date(Date.now() - HOUR_MS) });
      await expectRefusal(undefined, "demands a client certificate, and none is set");
      await expectRefusal(unknown, `localhost:${port} refuses the client certificate ${unknown.certPath}`);
      await expectRefusal(expired, `localhost:${port} refuses the client certificate ${expired.certPath}`);
    },
  );
});

describe("TLS to the wrong port", () => {
  test("is told: TLS to a plain port, and plain to a TLS port", async () => {
    const { settings } = await freshBroker();
    const encrypted = startSession({
      ...settings,
      tls: tlsWith(authority.certPath, undefined, settings.host),
    });
    expect(await warningOf(encrypted.lines)).toContain(`${settings.amqpPort} does not speak TLS`);
    const { through } = await brokerBehindTls(server);
    const plain = startSession({ ...through(tlsWith(undefined)), tls: undefined });
    expect(await warningOf(plain.lines)).toContain("and one without TLS?");
  });
});

describe("the way back", () => {
  test("is found when the broker shows the right certificate, and each outage is one warning", async () => {
    const expired = authority.issue({
      name: "expired-for-a-while",
      altNames: here,
      validUntil: new Date(Date.now() - HOUR_MS),
    });
    const { proxy, through } = await brokerBehindTls(expired);
    const { broker, lines } = startSession(through(tlsWith(authority.certPath)));
    expect(await warningOf(lines)).toContain("expired at");
    proxy.show(server);
    await untilConnected(broker);
    await broker.publish(Buffer.from("it is stable"), {
      messageId: "1",
      timestampMs: 1,
      expirationMs: 60_000,
    });
    proxy.show(expired);
    proxy.reset();
    await vi.waitFor(() => expect(lines).toHaveLength(2), { timeout: 10_000 });
    await someAttempts(proxy);
    proxy.show(server);
    await untilConnected(broker);
    expect(lines).toHaveLength(2);
  });

  test("is found when the file of the authority is replaced, without a restart", async () => {
    const ca = join(folder, "replaced.pem");
    cpSync(stranger.certPath, ca);
    const { through } = await brokerBehindTls(server);
    const { broker, lines } = startSession(through(tlsWith(ca)));
    expect(await warningOf(lines)).toContain(ca);
    cpSync(authority.certPath, ca);
    await untilConnected(broker);
    expect(lines).toHaveLength(1);
  });
});
