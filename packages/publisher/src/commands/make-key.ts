import { generateKeyPairSync } from "node:crypto";
import { parseArgs } from "node:util";
import { type Command, UsageError } from "@pipeline-heartbeat/shared/command-line.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { SITE_PATTERN } from "@pipeline-heartbeat/shared/heartbeat.ts";
import {
  ANY_SITE,
  DEFAULT_KEY_ID,
  KEY_ID_PATTERN,
  rawPublicKey,
} from "@pipeline-heartbeat/shared/signature.ts";

/**
 * Makes a pair of keys and keeps nothing of it. It is the publisher's command, so that the private key is made where it
 * stays. Words go to stderr: stdout as a whole may be the file that HEARTBEAT_SIGNING_KEY_FILE names.
 */
export function makeKeyCommand(env: Env): Command {
  return {
    usage: "[ID] [SITE]",
    summary:
      "prints a new private key, and its public key for the subscriber; " +
      "without arguments for HEARTBEAT_SIGNING_KEY_ID and HEARTBEAT_SITE",
    async run(args) {
      const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
      if (positionals.length > 2) throw new UsageError("expects an ID and a SITE at most");
      const [id = env["HEARTBEAT_SIGNING_KEY_ID"] || DEFAULT_KEY_ID] = positionals;
      const [, site = env["HEARTBEAT_SITE"] || "default"] = positionals;
      if (!KEY_ID_PATTERN.test(id)) throw new UsageError("an ID has 1 to 64 of A-Z a-z 0-9 _ . -");
      if (site !== ANY_SITE && !SITE_PATTERN.test(site)) {
        throw new UsageError("a SITE has 1 to 64 of A-Z a-z 0-9 _ . - or is * for any");
      }
      const { privateKey, publicKey } = generateKeyPairSync("ed25519");
      process.stderr.write(explanation(id));
      process.stdout.write(privateKey.export({ format: "pem", type: "pkcs8" }));
      process.stdout.write(`${id}@${site}=${rawPublicKey(publicKey)}\n`);
      return 0;
    },
  };
}

function explanation(id: string): string {
  return [
    "The private key is the publisher's alone: HEARTBEAT_SIGNING_KEY, or better a file that only it can read and that",
    `HEARTBEAT_SIGNING_KEY_FILE names; with HEARTBEAT_SIGNING_KEY_ID=${id}. The last line is no secret: add it to the`,
    "subscriber's HEARTBEAT_VERIFY_KEYS, with a comma or a new line after what is there.",
    "",
    "",
  ].join("\n");
}
