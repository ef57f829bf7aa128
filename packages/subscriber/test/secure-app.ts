import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { onTestFinished } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { readConfig } from "../src/config.ts";
import { listeningApp } from "./listening-app.ts";

export function newAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), "https-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return createAuthority(folder, { name: "test-ca" });
}

export function issue(authority: Authority, name: string): Certificate {
  return authority.issue({ name, altNames: ["DNS:health.example"] });
}

/** HTTPS from files that the test may replace: at first those of a certificate called `first`. */
export async function secureApp() {
  const authority = newAuthority();
  const first = issue(authority, "first");
  const paths = { certPath: `${first.certPath}.used`, keyPath: `${first.keyPath}.used` };
  const install = (from: Certificate, what: readonly (keyof Certificate)[] = ["certPath", "keyPath"]) => {
    for (const path of what) copyFileSync(from[path], paths[path]);
  };
  install(first);
  const { access } = readConfig({ HTTP_TLS_CERT_PATH: paths.certPath, HTTP_TLS_KEY_PATH: paths.keyPath });
  const { app, host, port, lines } = await listeningApp(access);
  const ca = readFileSync(authority.certPath);

  /** Asks on a connection of its own; also tells whose certificate was shown. */
  async function ask(path: string, options: https.RequestOptions = {}) {
    const at = { host, port, path, ca, servername: "health.example", agent: false, ...options };
    return await new Promise<Pick<IncomingMessage, "statusCode" | "headers"> & { name: unknown }>(
      (resolve, reject) => {
        const request = https.get(at, ({ statusCode, headers, socket }) => {
          const name = socket instanceof tls.TLSSocket && socket.getPeerCertificate().subject.CN;
          resolve({ statusCode, headers, name });
          request.destroy();
        });
        request.on("error", reject);
      },
    );
  }
  return { app, authority, install, host, port, lines, ask };
}
