import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { createAuthority } from "./certificates.ts";
import { freshEnvironment, runCommand, startBundle, temporaryFile } from "./processes.ts";
import { startSender } from "./sender.ts";

const TOKEN = "hunter2-hunter2-hunter2";

test("with a token and a certificate the subscriber answers those who may know, and tells nobody either", async () => {
  const folder = mkdtempSync(join(tmpdir(), "http-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const authority = createAuthority(folder, { name: "test-ca" });
  const { certPath, keyPath } = authority.issue({ name: "health.example", altNames: ["DNS:health.example"] });
  const fresh = await freshEnvironment();
  const env = {
    ...fresh.subscriber,
    API_TOKEN_FILE: temporaryFile("token", `${TOKEN}\n`),
    HTTP_TLS_CERT_PATH: certPath,
    HTTP_TLS_KEY_PATH: keyPath,
    LOG_LEVEL: "trace",
    // What an environment may allow that is made for other programs.
    NODE_OPTIONS: "--tls-min-v1.0 --tls-cipher-list=ALL:@SECLEVEL=0",
  };
  const { child, printed } = startBundle("subscriber", env);

  const ca = readFileSync(authority.certPath);
  async function status(
    path: string,
    token?: string,
    options: https.RequestOptions = {},
  ): Promise<number | undefined> {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return await new Promise((resolve, reject) => {
      const at = `https://127.0.0.1:${env.HTTP_PORT}${path}`;
      const request = https.get(
        at,
        { ca, servername: "health.example", headers, agent: false, ...options },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      request.on("error", reject);
    });
  }
  const up = vi.waitFor(async () => expect(await status("/health")).toBe(200), { timeout: 15_000 });
  await (await startSender(fresh.amqpUrl, "tsd")).newBoot()();
  await up;
  for (const path of ["/health", "/heartbeat", "/metrics"]) {
    expect(await status(path, TOKEN)).toBe(200);
    expect(await status(path, "hunter3")).toBe(401);
  }
  expect(await status("/metrics")).toBe(401);
  expect(await status("/readyz")).toBe(200);
  const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" } as const;
  await expect(status("/readyz", undefined, old)).rejects.toThrow("protocol version");

  const asked = await runCommand("subscriber", ["healthcheck", "--ready"], env);
  expect(asked).toMatchObject({ exitCode: 0, stdout: `https://127.0.0.1:${env.HTTP_PORT}/readyz: 200\n` });
  const commandLine = readFileSync(`/proc/${child.pid}/cmdline`, "utf8");
  expect(printed() + commandLine).not.toMatch(/hunter|PRIVATE KEY/);
});
