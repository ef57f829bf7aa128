import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { host, readSecret } from "../src/probes/options.ts";

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "options-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe("a file with a secret", () => {
  test("is read without the white space around it", () => {
    const path = join(temporaryFolder(), "password");
    writeFileSync(path, " hunter2\n");
    expect(readSecret(path)).toBe("hunter2");
  });

  test("that is a pipe, which nobody writes to, is not read", () => {
    const path = join(temporaryFolder(), "pipe");
    execFileSync("mkfifo", [path]);
    expect(() => readSecret(path)).toThrow(`${path} is no regular file`);
  });

  test.each([
    { what: "a device without end", path: "/dev/zero", says: "is no regular file" },
    { what: "missing", path: "/does/not/exist", says: "does not exist" },
    { what: "below a file", path: "/dev/null/x", says: "cannot be read (ENOTDIR)" },
  ])("that is $what is told by its name alone", ({ path, says }) => {
    expect(() => readSecret(path)).toThrow(`${path} ${says}`);
  });

  test("that is empty or too large is told, too", () => {
    const path = join(temporaryFolder(), "password");
    writeFileSync(path, " \n");
    expect(() => readSecret(path)).toThrow("is empty");
    writeFileSync(path, "x".repeat(1024 * 1024 + 1));
    expect(() => readSecret(path)).toThrow("is larger than");
  });
});

test.each(["a b", "a\0b", "user@host", "host/path", ""])("no host is %j", (given) => {
  expect(host().safeParse(given).success).toBe(false);
});

test.each([
  { given: "[::1]", is: "::1" },
  { given: "db.example.", is: "db.example." },
])("$given is the host $is", ({ given, is }) => {
  expect(host().parse(given)).toBe(is);
});
