import { expect, test } from "vitest";
import { onFreePorts } from "./free-ports.ts";

test("ports that somebody else took meanwhile are given up for others", async () => {
  const tried: number[][] = [];
  const used = await onFreePorts(3, async (ports) => {
    tried.push(ports);
    if (tried.length < 3) throw new Error("listen EADDRINUSE");
    return ports;
  });
  expect(tried.map((ports) => new Set(ports).size)).toEqual([3, 3, 3]);
  expect(used).toBe(tried[2]);
});

test("neither another failure nor a third collision is tried again", async () => {
  for (const { message, attempts } of [
    { message: "out of luck", attempts: 1 },
    { message: "Address already in use", attempts: 3 },
  ]) {
    let tried = 0;
    const trying = onFreePorts(1, async () => {
      tried += 1;
      throw new Error(message);
    });
    await expect(trying).rejects.toThrow(message);
    expect(tried).toBe(attempts);
  }
});
