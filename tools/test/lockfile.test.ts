import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Entry {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}

test("every package of the lock file is the registry's, by its checksum and not by an address", () => {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  const entries = Object.entries<Entry>(packages).filter(
    ([path, { link }]) => path.includes("node_modules/") && !link,
  );
  expect(entries.length).toBeGreaterThan(100);
  const others = entries.filter(
    ([, { resolved, integrity }]) => resolved || !integrity?.startsWith("sha512-"),
  );
  expect(others).toEqual([]);
});
