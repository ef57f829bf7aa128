import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as z from "zod";
import { readerAnswer } from "./reader.ts";

const answer = z.object({
  http: z.number(),
  status: z.string().optional(),
  services: z.record(z.string(), z.string()).default({}),
  queues: z.record(z.string(), z.string()).default({}),
});
const truth = z.object({
  cases: z.array(
    z.object({
      name: z.string(),
      keys: z.record(z.string(), z.string()),
      answer,
      answerOtherOrder: answer,
    }),
  ),
});

const vectors: unknown = JSON.parse(
  readFileSync(new URL("./vectors/reader-truth.json", import.meta.url), "utf8"),
);

test.each(truth.parse(vectors).cases)("the model answers as the reader does: $name", (truth) => {
  const keys = Object.entries(truth.keys);
  expect(readerAnswer(keys)).toMatchObject(truth.answer);
  expect(readerAnswer(keys.toReversed())).toMatchObject(truth.answerOtherOrder);
});

test("the model passes over a key of another status before it looks at the value, as the reader does", () => {
  expect(readerAnswer([["service:other:extra", "no timestamp"]])).toEqual({
    http: 200,
    status: "ALL_OK",
    services: {},
    queues: {},
  });
});
