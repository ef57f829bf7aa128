import { expect, test } from "vitest";
import { inTime, sharedQuestion } from "../src/probes/shared-question.ts";

/** Questions that are answered when the test says so. */
function questions(atOnce: number) {
  const asked: string[] = [];
  const answers = new Map<string, PromiseWithResolvers<string>>();
  const ask = sharedQuestion((about) => {
    asked.push(about);
    const answer = Promise.withResolvers<string>();
    answers.set(about, answer);
    return answer.promise;
  }, atOnce);
  return { ask, asked, answer: (about: string) => answers.get(about) };
}

test("what is being asked is not asked again, and all get its answer", async () => {
  const { ask, asked, answer } = questions(2);
  const both = [ask("hung"), ask("hung")];
  await expect.poll(() => asked).toEqual(["hung"]);
  answer("hung")?.resolve("late");
  expect(await Promise.all(both)).toEqual(["late", "late"]);
  void ask("hung");
  await expect.poll(() => asked).toEqual(["hung", "hung"]);
});

test("a failure is everybody's, and then it is asked again", async () => {
  const { ask, asked, answer } = questions(2);
  const both = Promise.allSettled([ask("broken"), ask("broken")]);
  await expect.poll(() => asked).toEqual(["broken"]);
  answer("broken")?.reject(new Error("no"));
  expect(await both).toMatchObject([{ status: "rejected" }, { status: "rejected" }]);
  void ask("broken");
  await expect.poll(() => asked).toEqual(["broken", "broken"]);
});

test("no more are under way than may be, however many are asked", async () => {
  const { ask, asked, answer } = questions(2);
  const [, , third] = [ask("a"), ask("b"), ask("c"), ask("c")];
  await expect.poll(() => asked).toEqual(["a", "b"]);
  answer("a")?.resolve("");
  await expect.poll(() => asked).toEqual(["a", "b", "c"]);
  answer("c")?.resolve("at last");
  expect(await third).toBe("at last");
});

test("nobody waits for longer than the signal says", async () => {
  const waiting = new AbortController();
  const never = inTime(new Promise(() => {}), waiting.signal);
  waiting.abort();
  await expect(never).rejects.toThrow("no answer in time");
  await expect(inTime(new Promise(() => {}), AbortSignal.abort())).rejects.toThrow("no answer in time");
});
