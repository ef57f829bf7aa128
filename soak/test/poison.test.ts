import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { decodeHeartbeat } from "../../packages/shared/src/decode.ts";
import { rawPublicKey, signer, verifier } from "../../packages/shared/src/signature.ts";
import { nextPoison, POISON_ID } from "../poison.ts";
import { seededRandom } from "../random.ts";

test("each poison is one, and can be found by what is kept of it", () => {
  const random = seededRandom(1);
  const keys = ["north", "south"].map((site) => ({ site, ...generateKeyPairSync("ed25519") }));
  const signers = new Map(keys.map(({ site, privateKey }) => [site, signer(privateKey, site)]));
  const verify = verifier(
    keys.map(({ site, publicKey }) => ({ id: site, site, publicKey: rawPublicKey(publicKey) })),
    { isRequired: true },
  );
  const seen = new Set<string>();
  for (let count = 0; count < 300; count += 1) {
    const { id, kind, body, headers } = nextPoison(random, count, signers);
    seen.add(kind);
    const verified = verify(body, headers);
    const isHeartbeat = decodeHeartbeat(body, 0).ok;
    expect(verified.ok && isHeartbeat && verified.speaksFor("north"), kind).toBe(false);
    expect(POISON_ID.exec(body.subarray(0, 500).toString())?.[0], kind).toBe(id);
  }
  expect(seen.size).toBeGreaterThan(25);
});

test("the same seed makes the same faults", () => {
  const rolled = () => {
    const random = seededRandom(42);
    return [
      random.between(0, 10),
      random.oneOf(["a", "b", "c"]),
      random.shuffled([1, 2, 3, 4]),
      random.chance(0.5),
    ];
  };
  expect(rolled()).toEqual(rolled());
});
