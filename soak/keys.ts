import { createPrivateKey, type KeyObject } from "node:crypto";
import { writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { type Sign, signer } from "../packages/shared/src/signature.ts";

/** With which a site's publisher signs. */
export interface SiteKey {
  readonly id: string;
  readonly file: string;
  /** As the subscriber's HEARTBEAT_VERIFY_KEYS wants it. */
  readonly verifyKey: string;
  /** Signs as the site does: for what a stolen publisher might say. */
  readonly sign: Sign;
}

/** Has the publisher's own command make a key. */
export async function makeSiteKey(bundle: string, site: string, folder: string): Promise<SiteKey> {
  const id = `${site}-key`;
  const { stdout } = await promisify(execFile)(process.execPath, [bundle, "make-key", id, site], { env: {} });
  const file = join(folder, `${id}.pem`);
  writeFileSync(file, stdout, { mode: 0o600 });
  const verifyKey = stdout.trimEnd().split("\n").at(-1) ?? "";
  const privateKey: KeyObject = createPrivateKey(stdout);
  return { id, file, verifyKey, sign: signer(privateKey, id) };
}
