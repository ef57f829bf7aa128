import { generateKeyPairSync } from "node:crypto";
import { MAX_BODY_BYTES } from "@pipeline-heartbeat/shared/decode.ts";
import { encodeHeartbeat } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { rawPublicKey, signer, verifier } from "@pipeline-heartbeat/shared/signature.ts";
import { expect, test } from "vitest";
import { judge } from "../src/judge.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const sign = signer(privateKey, "k1");
const raw = rawPublicKey(publicKey);
const verify = verifier([{ id: "k1", site: "tsd", publicKey: raw }], { isRequired: true });

function heartbeat(site: string, format: 1 | 2 = 2): Buffer {
  const times = { startedAtMs: 0, sentAtMs: 0, uptimeMs: 0, intervalMs: 60_000 };
  const lists = { hosts: [], queues: [], services: [], components: [] };
  return encodeHeartbeat(
    { site, bootId: "boot", sequence: 1, cause: "interval", ...times, ...lists },
    format,
  );
}

const garbage = Buffer.from("not JSON");
const tooLarge = Buffer.alloc(MAX_BODY_BYTES + 1, " ");

test.each([
  { what: "its site's own is taken", body: heartbeat("tsd"), isSigned: true },
  { what: "another site's is refused", body: heartbeat("other"), isSigned: true, code: "wrong_site" },
  { what: "a nameless one is the default site's", body: heartbeat("", 1), isSigned: true, site: "tsd" },
  {
    what: "a nameless one of a key that does not speak for the default site is refused",
    body: heartbeat("", 1),
    isSigned: true,
    site: "other",
    code: "wrong_site",
  },
  { what: "what is not signed is not parsed", body: garbage, code: "unsigned" },
  { what: "what is signed may be no heartbeat", body: garbage, isSigned: true, code: "not_a_heartbeat" },
  { what: "what is too large is not even verified", body: tooLarge, code: "too_large" },
])("of the messages $what", ({ body, isSigned = false, site = "default", code }) => {
  const headers = isSigned ? sign(body) : undefined;
  const delivery = { body, headers, receivedAtMs: 0, hasWaited: false };
  const judged = judge(site, verify)(delivery);
  expect("code" in judged ? judged.code : undefined).toBe(code);
});

test("without keys signed messages are taken in like others, whoever signed them", () => {
  const body = heartbeat("tsd");
  const headers = { ...sign(body), "x-heartbeat-signature": 7 };
  const judged = judge("default", undefined)({ body, headers, receivedAtMs: 0, hasWaited: false });
  expect(judged).toMatchObject({ heartbeat: { site: "tsd" } });
});
