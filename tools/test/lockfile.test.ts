import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Entry {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}

const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
const entries = Object.entries<Entry>(packages).filter(
  ([path, { link }]) => path.includes("node_modules/") && !link,
);

test("every package of the lock file is the registry's, by its checksum and not by an address", () => {
  expect(entries.length).toBeGreaterThan(100);
  const others = entries.filter(
    ([, { resolved, integrity }]) => resolved || !integrity?.startsWith("sha512-"),
  );
  expect(others).toEqual([]);
});

test("no install script is run, and nothing that the services are made of has one", () => {
  expect(readFileSync(".npmrc", "utf8").split("\n")).toContain("ignore-scripts=true");
  const shipped = entries.filter(([, { dev }]) => !dev);
  expect(shipped.length).toBeGreaterThan(20);
  expect(shipped.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
});
