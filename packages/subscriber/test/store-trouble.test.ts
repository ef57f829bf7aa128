import { expect, test } from "vitest";
import { storeTrouble } from "../src/store-trouble.ts";

test.each([
  ["OOM command not allowed when used memory > 'maxmemory'.", "it is out of memory"],
  ["READONLY You can't write against a read only replica.", "it is a read-only replica"],
  ["LOADING Redis is loading the dataset in memory", "it is still loading its data"],
  ["CLUSTERDOWN The cluster is down", "its cluster is down"],
  ["NOPERM User hb-sub has no permissions to run the 'scan' command", "its access rules forbid it"],
  ["ERR The user executing the script can't access at least one of the keys", "its access rules forbid it"],
  ["not connected", "there is no connection"],
  ["no answer in time", "it does not answer"],
  ["ERR something else at 10.0.0.7", "/readyz says why"],
])("%s", (problem, trouble) => {
  expect(storeTrouble(problem)).toBe(trouble);
});
