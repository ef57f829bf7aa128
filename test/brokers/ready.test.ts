import { expect, test } from "vitest";
import { untilReady } from "./ready.ts";

const never = new AbortController().signal;
const rejects = (error: Error) => async (): Promise<void> => {
  throw error;
};

test("what is not ready in time fails with its last problem and the end of its log", async () => {
  const check = rejects(new Error("fetch failed", { cause: new AggregateError([], "") }));
  const waiting = untilReady({
    name: "it",
    check,
    signal: never,
    withinMs: 200,
    logTail: () => "last words",
  });
  await expect(waiting).rejects.toThrow(/^it is not ready after 0\.2 s: AggregateError\nlast words$/);
});

test("waiting ends at once when there is nothing left to wait for, or when it is called off", async () => {
  const check = rejects(new Error("not yet"));
  const failed = Promise.reject(new Error("it ended"));
  await expect(untilReady({ name: "it", check, signal: never, failed })).rejects.toThrow("it ended");
  const signal = AbortSignal.abort(new Error("called off"));
  await expect(untilReady({ name: "it", check, signal })).rejects.toThrow("called off");
});

test("a check is repeated until it passes", async () => {
  let checks = 0;
  const check = async () => {
    checks += 1;
    if (checks < 3) throw new Error("not yet");
  };
  await untilReady({ name: "it", check, signal: never });
  expect(checks).toBe(3);
});
