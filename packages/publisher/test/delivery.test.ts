import { setImmediate } from "node:timers/promises";
import { decodeHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { pino } from "pino";
import { describe, expect, test, vi } from "vitest";
import { startDelivery } from "../src/delivery.ts";
import { heartbeatMessages } from "../src/messages.ts";
import { outbox } from "../src/outbox.ts";
import { watchedTarget } from "./watched.ts";

/** A delivery to a broker that is as the test says, with what it was sent and what it confirmed: `sequence cause state`. */
function start({ most = 100 } = {}) {
  const broker = {
    isThere: true,
    refuses: false,
    /** Confirms when that is resolved, or never. */
    mutedUntil: undefined as Promise<void> | undefined,
    sent: [] as string[],
    confirmed: [] as string[],
  };
  let state: State = "up";
  let sinceMs = 0;
  let verdict = Promise.resolve();
  let held: PromiseWithResolvers<void> | undefined;
  const messages = heartbeatMessages({
    site: "tsd",
    publishIntervalMs: 60_000,
    format: 2,
    detail: "code",
    targets: () => [watchedTarget({}, { state, sinceMs })],
  });
  const lines: object[] = [];
  const delivery = startDelivery({
    messages,
    outbox: outbox(most, 1_000_000),
    canSend: () => broker.isThere,
    async publish({ body }) {
      const decoded = decodeHeartbeat(body, Date.now());
      if (!decoded.ok) throw new Error(decoded.problem);
      const { sequence, cause, components } = decoded.heartbeat;
      const told = `${sequence} ${cause} ${components.map((one) => one.state).join()}`;
      broker.sent.push(told);
      if (broker.refuses) throw new Error("refused");
      await broker.mutedUntil;
      if (cause === "backfill") await verdict;
      broker.confirmed.push(told);
    },
    onConfirmed: () => broker.confirmed.push("ready"),
    log: pino(
      { base: null, timestamp: false },
      { write: (line: string) => void lines.push(JSON.parse(line)) },
    ),
  });
  return {
    broker,
    delivery,
    lines,
    become(next: State) {
      state = next;
      sinceMs += 1;
    },
    loseConnection() {
      broker.isThere = false;
      held?.reject(new Error("lost"));
    },
    resume() {
      broker.isThere = true;
      verdict = Promise.resolve();
      delivery.resume();
    },
    /** From now on no back-fill is confirmed, until it is released. */
    hold() {
      held = Promise.withResolvers();
      held.promise.catch(() => {}); // it may be that nothing is under way
      verdict = held.promise;
    },
    release() {
      verdict = Promise.resolve();
      held?.resolve();
    },
    /** What has been confirmed, once it is so many. */
    async confirmed(count: number): Promise<string[]> {
      const heartbeats = () => broker.confirmed.filter((line) => line !== "ready");
      await vi.waitFor(() => expect(heartbeats()).toHaveLength(count), { timeout: 4_000, interval: 1 });
      await setImmediate(); // whoever waits for the confirm knows it, too
      return heartbeats();
    },
  };
}

describe("while the broker is away", () => {
  test("what was due is kept, and sent in order after the current state", async () => {
    const { broker, delivery, become, resume, confirmed, lines } = start();
    delivery.due("interval");
    expect(await confirmed(1)).toEqual(["1 interval up"]);
    broker.isThere = false;
    delivery.due("interval");
    become("down");
    delivery.due("change");
    become("up");
    delivery.due("change");
    resume();
    expect(await confirmed(4)).toEqual(["1 interval up", "4 change up", "2 backfill up", "3 backfill down"]);
    // Ready with the current state, not when all is told.
    expect(broker.confirmed.slice(2, 4)).toEqual(["4 change up", "ready"]);
    await vi.waitFor(() =>
      expect(lines).toEqual([{ level: 30, heartbeats: 2, dropped: 0, msg: "kept heartbeats sent" }]),
    );
  });

  test("nothing is due: its return is told by a heartbeat of its own", async () => {
    const { delivery, loseConnection, resume, confirmed } = start();
    delivery.due("interval");
    await confirmed(1);
    loseConnection();
    resume();
    expect(await confirmed(2)).toEqual(["1 interval up", "2 interval up"]);
  });

  test("a state that changed unannounced is told as it is, and what was before as a back-fill", async () => {
    const { broker, delivery, become, resume, confirmed } = start();
    broker.isThere = false;
    delivery.due("interval");
    become("down");
    resume();
    expect(await confirmed(2)).toEqual(["2 interval down", "1 backfill up"]);
  });

  test("changes are kept instead of repetitions, and what was dropped is told once", async () => {
    const { broker, delivery, become, resume, confirmed, lines } = start({ most: 2 });
    broker.isThere = false;
    delivery.due("interval");
    become("down");
    delivery.due("interval");
    for (let repetition = 0; repetition < 3; repetition += 1) delivery.due("interval");
    resume();
    expect(await confirmed(3)).toEqual(["5 interval down", "1 backfill up", "2 backfill down"]);
    await vi.waitFor(() =>
      expect(lines).toEqual([{ level: 40, heartbeats: 2, dropped: 2, msg: "kept heartbeats sent" }]),
    );
  });
});

describe("what is refused", () => {
  test("is tried again with its number, told once, and kept when the next one is due", async () => {
    const { broker, delivery, confirmed, lines } = start();
    broker.refuses = true;
    delivery.due("interval");
    delivery.due("interval");
    await setImmediate(); // both were refused
    broker.refuses = false;
    expect(await confirmed(2)).toEqual(["2 interval up", "1 backfill up"]);
    expect(broker.sent.slice(0, 3)).toEqual(["1 interval up", "2 interval up", "2 interval up"]);
    await vi.waitFor(() =>
      expect(lines).toMatchObject([
        { level: 40, cause: "refused", msg: "publishing unavailable" },
        { level: 30, msg: "publishing available again" },
        { level: 30, heartbeats: 1, msg: "kept heartbeats sent" },
      ]),
    );
  });
});

describe("in the middle of a back-fill", () => {
  /** Fifty that were kept, the broker there again, and no back-fill confirmed yet. */
  async function inTheMiddle() {
    const started = start();
    const { broker, delivery, hold, resume } = started;
    broker.isThere = false;
    for (let count = 0; count < 51; count += 1) delivery.due("interval");
    resume();
    hold();
    await vi.waitFor(() => expect(broker.sent.at(-1)).toContain("backfill"), { interval: 1 });
    return { ...started, underWay: broker.sent.length };
  }

  test("few are under way, and what comes due goes before the rest", async () => {
    const { broker, delivery, release, underWay, confirmed } = await inTheMiddle();
    expect(underWay).toBeLessThan(20);
    delivery.due("change");
    expect(broker.sent.slice(underWay)).toEqual(["52 change up"]);
    release();
    const numbers = (await confirmed(52)).map((line) => Number.parseInt(line, 10));
    expect(new Set(numbers).size).toBe(52);
  });

  test("a lost connection loses nothing, and it begins again with the current state", async () => {
    const { broker, loseConnection, resume, underWay, confirmed, lines } = await inTheMiddle();
    loseConnection();
    await setImmediate(); // all that was under way has failed
    resume();
    const numbers = (await confirmed(52)).map((line) => Number.parseInt(line, 10));
    expect(new Set(numbers).size).toBe(52);
    expect(broker.sent.slice(underWay, underWay + 2)).toEqual(["52 interval up", "1 backfill up"]);
    // The loss is told elsewhere.
    await vi.waitFor(() => expect(lines).toMatchObject([{ heartbeats: 50, msg: "kept heartbeats sent" }]));
  });

  test("a goodbye goes before the rest, which follows", async () => {
    const { broker, delivery, release, underWay, confirmed, lines } = await inTheMiddle();
    const said = delivery.goodbye(1_000);
    release();
    await said;
    expect(broker.sent[underWay]).toBe("52 goodbye up");
    expect(await confirmed(52)).toHaveLength(52);
    expect(lines).toMatchObject([{ heartbeats: 50, msg: "kept heartbeats sent" }]);
  });

  test("nothing follows a goodbye but the rest, though the connection was lost and is back", async () => {
    const { broker, delivery, loseConnection, resume, underWay } = await inTheMiddle();
    const said = delivery.goodbye(1_000);
    await setImmediate(); // it is confirmed
    loseConnection();
    await setImmediate();
    resume();
    await said;
    const [goodbye, ...after] = broker.sent.slice(underWay);
    expect(goodbye).toBe("52 goodbye up");
    expect(after).not.toEqual([]);
    expect(after.filter((line) => !line.includes("backfill"))).toEqual([]);
  });

  test("a stop does not wait for long, and tells what is left", async () => {
    const { delivery, underWay, lines } = await inTheMiddle();
    const startedMs = performance.now();
    await delivery.goodbye(100);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(lines).toEqual([{ level: 40, heartbeats: 51 - underWay, msg: "kept heartbeats were not sent" }]);
  });
});

test("a broker that does not answer is not sent more and more, and gets the goodbye all the same", async () => {
  const { broker, delivery, lines } = start();
  broker.mutedUntil = new Promise(() => {});
  for (let count = 0; count < 50; count += 1) delivery.due("change");
  expect(broker.sent.length).toBeLessThan(30);
  await delivery.goodbye(10);
  expect(broker.sent.at(-1)).toBe("51 goodbye up");
  expect(lines[0]).toMatchObject({ cause: "no confirm in time", msg: "goodbye was not confirmed" });
});

test("what waited for a slow broker is sent with the states of then", async () => {
  const { broker, delivery, become, confirmed } = start();
  const { promise, resolve } = Promise.withResolvers<void>();
  broker.mutedUntil = promise;
  for (let count = 0; count < 50; count += 1) delivery.due("change");
  const underWay = broker.sent.length;
  become("down");
  resolve();
  await confirmed(51);
  expect(broker.sent[underWay]).toBe("51 change down");
});

test("after a goodbye nothing is said any more, whatever becomes of the connection", async () => {
  const { broker, delivery, loseConnection, resume, confirmed } = start();
  delivery.due("interval");
  await confirmed(1);
  await delivery.goodbye(1_000);
  loseConnection();
  resume();
  expect(broker.sent).toEqual(["1 interval up", "2 goodbye up"]);
});

test("a stop while the broker is away says nothing, and tells what is lost", async () => {
  const { broker, delivery, lines } = start();
  broker.isThere = false;
  delivery.due("interval");
  delivery.due("interval");
  await delivery.goodbye(1_000);
  expect(broker.sent).toEqual([]);
  expect(lines).toEqual([{ level: 40, heartbeats: 2, msg: "kept heartbeats were not sent" }]);
});
