import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  publicKeyFrom,
  rawPublicKey,
  type Sign,
  signer,
  verifier,
  type VerifyKey,
} from "../src/signature.ts";

/** RFC 8032, section 7.1, tests 1 to 3. */
const RFC_8032 = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    body: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    body: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    body: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
];

const PKCS8_HEADER = "302e020100300506032b657004220420";
const hex = (text: string) => Buffer.from(text, "hex");

test.each(RFC_8032)("signs and verifies RFC 8032's body '$body'", ({ seed, publicKey, body, signature }) => {
  const privateKey = createPrivateKey({ key: hex(PKCS8_HEADER + seed), format: "der", type: "pkcs8" });
  const headers = signer(privateKey, "k1")(hex(body));
  expect(headers).toEqual({
    "x-heartbeat-key-id": "k1",
    "x-heartbeat-signature": `v1=${hex(signature).toString("base64")}`,
  });
  const raw = hex(publicKey).toString("base64");
  expect(rawPublicKey(createPublicKey(privateKey))).toBe(raw);
  expect(rawPublicKey(publicKeyFrom(raw))).toBe(raw);
  expect(verifier([{ id: "k1", site: "tsd", publicKey: raw }], required)(hex(body), headers).ok).toBe(true);
});

const required = { isRequired: true };
const optional = { isRequired: false };
const body = Buffer.from('{"status":"heartbeat"}');
const [own, next, foreign] = [pair(), pair(), pair()];

interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: string;
}

function pair(): Pair {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { privateKey, publicKey: rawPublicKey(publicKey) };
}

function key(id: string, site: string, { publicKey }: Pair): VerifyKey {
  return { id, site, publicKey };
}

const signedBy = ({ privateKey }: Pair, id = "k1"): ReturnType<Sign> => signer(privateKey, id)(body);

test("any change of any bit of body or signature is refused", () => {
  const verify = verifier([key("k1", "tsd", own)], optional);
  const bit = fc.nat(7).map((index) => 1 << index);
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 500 }),
      fc.nat(),
      fc.nat(63),
      bit,
      (bytes, at, inSignature, mask) => {
        const headers = signer(own.privateKey, "k1")(bytes);
        expect(verify(bytes, headers).ok).toBe(true);
        const altered = bytes.with(at % bytes.length, (bytes[at % bytes.length] ?? 0) ^ mask);
        expect(verify(altered, headers)).toMatchObject({ ok: false, code: "bad_signature" });
        const signature = Buffer.from(headers["x-heartbeat-signature"]?.slice(3) ?? "", "base64");
        signature.writeUInt8(signature.readUInt8(inSignature) ^ mask, inSignature);
        const forged = { ...headers, "x-heartbeat-signature": `v1=${signature.toString("base64")}` };
        expect(verify(bytes, forged)).toMatchObject({ ok: false, code: "bad_signature" });
      },
    ),
  );
});

describe("a signature", () => {
  const { "x-heartbeat-signature": good = "" } = signedBy(own);
  const id = { "x-heartbeat-key-id": "k1" };
  test.each([
    { what: "of another key", headers: signedBy(foreign), code: "bad_signature" },
    { what: "of an unknown key", headers: signedBy(own, "k2"), code: "unknown_key" },
    { what: "without a key id", headers: { "x-heartbeat-signature": good }, code: "bad_signature" },
    { what: "that is left out", headers: id, code: "bad_signature" },
    { what: "without a version", headers: { ...id, "x-heartbeat-signature": good.slice(3) } },
    { what: "of a later version", headers: { ...id, "x-heartbeat-signature": good.replace("v1", "v2") } },
    { what: "that is cut short", headers: { ...id, "x-heartbeat-signature": good.slice(0, -4) } },
    { what: "with more after it", headers: { ...id, "x-heartbeat-signature": `${good}AAAA` } },
    { what: "with a line's end", headers: { ...id, "x-heartbeat-signature": `${good}\n` } },
    { what: "that is a number", headers: { ...id, "x-heartbeat-signature": 1e308 } },
    { what: "in bytes", headers: { ...id, "x-heartbeat-signature": Buffer.from(good) } },
    { what: "in a list", headers: { ...id, "x-heartbeat-signature": [good] } },
    { what: "that is void", headers: { ...id, "x-heartbeat-signature": null } },
    { what: "with a table for an id", headers: { ...signedBy(own), "x-heartbeat-key-id": { k1: "k1" } } },
    { what: "with an endless id", headers: signedBy(own, "k".repeat(100_000)) },
    { what: "of __proto__", headers: signedBy(own, "__proto__"), code: "unknown_key" },
    { what: "of constructor", headers: signedBy(own, "constructor"), code: "unknown_key" },
  ])("$what is refused, whether one is required or not", ({ headers, code = "bad_signature" }) => {
    for (const options of [required, optional]) {
      const verified = verifier([key("k1", "tsd", own)], options)(body, headers);
      expect(verified).toEqual({ ok: false, code, problem: expect.any(String) });
      if (!verified.ok) expect(verified.problem.length).toBeLessThan(200);
    }
  });

  test("that is not there is refused where one is required", () => {
    for (const headers of [undefined, {}, { "x-received-from": [{}] }]) {
      expect(verifier([key("k1", "tsd", own)], required)(body, headers)).toMatchObject({ code: "unsigned" });
      const verified = verifier([key("k1", "tsd", own)], optional)(body, headers);
      expect(verified.ok && verified.speaksFor("any")).toBe(true);
    }
  });

  test("by a key that is no point of the curve is refused", () => {
    const verify = verifier([{ id: "k1", site: "tsd", publicKey: `${"A".repeat(42)}g=` }], required);
    expect(verify(body, signedBy(own))).toMatchObject({ code: "bad_signature" });
  });
});

describe("a key speaks", () => {
  const keys = [
    key("default", "a", own),
    key("default", "b", next),
    key("default", "c", own),
    key("any", "*", foreign),
  ];
  test.each([
    { what: "its own sites, where another has the same id", by: own, id: "default", sites: ["a", "c"] },
    { what: "its own site, though it is the second of that id", by: next, id: "default", sites: ["b"] },
    { what: "every site when it may", by: foreign, id: "any", sites: ["a", "b", "c", "d"] },
  ])("for $what", ({ by, id, sites }) => {
    const verified = verifier(keys, required)(body, signedBy(by, id));
    expect(["a", "b", "c", "d"].filter((site) => verified.ok && verified.speaksFor(site))).toEqual(sites);
  });

  test("under its own id alone", () => {
    expect(verifier(keys, required)(body, signedBy(own, "any"))).toMatchObject({ code: "bad_signature" });
  });
});
