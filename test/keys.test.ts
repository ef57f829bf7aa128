import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { freePorts } from "./brokers/free-ports.ts";
import { heardHeartbeats } from "./heard-heartbeats.ts";
import {
  expectHealth,
  expectReady,
  freshEnvironment,
  runCommand,
  startBundle,
  temporaryFile,
} from "./processes.ts";

describe("make-key", () => {
  test("prints a pair that a publisher signs with and a subscriber verifies", async () => {
    const { exitCode, stdout, stderr } = await runCommand("publisher", ["make-key", "k1", "tsd"], {});
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /^-----BEGIN PRIVATE KEY-----\n\S{64}\n-----END PRIVATE KEY-----\nk1@tsd=[A-Za-z0-9+/]{43}=\n$/,
    );
    for (const name of ["SIGNING_KEY_FILE", "SIGNING_KEY_ID=k1", "VERIFY_KEYS"]) {
      expect(stderr).toContain(`HEARTBEAT_${name}`);
    }
    expect(stderr).not.toContain(stdout.split("\n")[1]);
    const again = await runCommand("publisher", ["make-key", "k1", "tsd"], {});
    expect(again.stdout).not.toBe(stdout);
  });

  test.each([
    { args: [], env: {}, line: /\ndefault@default=/ },
    { args: [], env: { HEARTBEAT_SIGNING_KEY_ID: "k2", HEARTBEAT_SITE: "tsd" }, line: /\nk2@tsd=/ },
    { args: ["k3"], env: { HEARTBEAT_SITE: "tsd" }, line: /\nk3@tsd=/ },
    { args: ["k3", "*"], env: {}, line: /\nk3@\*=/ },
  ])("with $args and $env is for whom they name", async ({ args, env, line }) => {
    expect((await runCommand("publisher", ["make-key", ...args], env)).stdout).toMatch(line);
  });

  test.each([[["a@b"]], [["a", "b=c"]], [["a", "b", "c"]], [["--frobnicate"]]])(
    "does not take %j",
    async (args) => {
      const { exitCode, stdout, stderr } = await runCommand("publisher", ["make-key", ...args], {});
      expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: "" });
      expect(stderr).toMatch(/^make-key: .*--help.*\n$/);
    },
  );
});

/** At one heartbeat a second; longer than a restart takes on a busy machine. */
const SILENT_AFTER_S = 30;

test("keys are rolled over without a message refused or a moment of silence", async () => {
  const makeKey = async (id: string) => {
    const { stdout } = await runCommand("publisher", ["make-key", id, "tsd"], {});
    // As a whole, the public line included.
    return {
      id,
      file: temporaryFile(`${id}.pem`, stdout),
      verifyKey: stdout.trimEnd().split("\n").at(-1) ?? "",
    };
  };
  const [old, next] = [await makeKey("old"), await makeKey("new")];
  const keyFile = (...keys: string[]) => ({
    SILENCE_FACTOR: String(SILENT_AFTER_S),
    HEARTBEAT_VERIFY_KEYS_FILE: temporaryFile("keys", `${keys.join("\n")}\n`),
  });
  const { url, amqpUrl, publisher, subscriber, redisDb } = await freshEnvironment();
  const startSubscriber = (env: ReturnType<typeof keyFile>) => () =>
    startBundle("subscriber", { ...subscriber, ...env });
  let receiver = startSubscriber(keyFile(old.verifyKey))();
  const heard = await heardHeartbeats(amqpUrl);
  const [probed] = await freePorts(1);
  const startPublisher = (key: typeof old) =>
    startBundle("publisher", {
      ...publisher,
      HEARTBEAT_SITE: "tsd",
      HEARTBEAT_SIGNING_KEY_FILE: key.file,
      HEARTBEAT_SIGNING_KEY_ID: key.id,
      PUBLISH_INTERVAL: "1",
      PUBLISHER_CONFIG_PATH: temporaryFile(
        "config.json",
        JSON.stringify({ heartbeat: { hosts: [{ host: "127.0.0.1", port: probed, name: "closed" }] } }),
      ),
    });
  async function restarted(bundle: ReturnType<typeof startBundle>, start: () => typeof bundle) {
    bundle.child.kill("SIGTERM");
    expect(await bundle.ended()).toBe(0);
    return start();
  }
  async function isHeardFrom(id: string): Promise<void> {
    await expectReady(url);
    const sinceMs = Date.now();
    await expectHealth(url, 15_000, ({ sites }) => {
      expect(sites[0]?.state).toBe("fresh");
      expect(Date.parse(sites[0]?.deadline ?? "")).toBeGreaterThan(sinceMs + SILENT_AFTER_S * 1_000);
    });
    expect(heard.messages.at(-1)?.properties.headers?.["x-heartbeat-key-id"]).toBe(id);
  }

  let sender = startPublisher(old);
  await isHeardFrom("old");
  const both = keyFile(old.verifyKey, next.verifyKey);
  receiver = await restarted(receiver, startSubscriber(both));
  await isHeardFrom("old");
  sender = await restarted(sender, () => startPublisher(next));
  await isHeardFrom("new");
  receiver = await restarted(receiver, startSubscriber(keyFile(next.verifyKey)));
  await isHeardFrom("new");

  const redis = new Redis({ ...inject("redis"), db: redisDb });
  onTestFinished(() => redis.disconnect());
  expect(await redis.lrange("heartbeat:rejected", 0, -1)).toEqual([]);
  const events = JSON.stringify(await redis.xrange("heartbeat:{tsd}:events", "-", "+"));
  expect(events).not.toContain("silent");
  expect(sender.printed() + receiver.printed()).not.toContain("PRIVATE");
});
