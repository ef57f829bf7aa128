import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseTargets } from "../src/parse-file.ts";
import type { Targets } from "../src/targets.ts";
import { schemaProblems } from "./schema-problems.ts";

const FOLDER = new URL("../../../examples/", import.meta.url);
const files = readdirSync(FOLDER).filter((name) => name.endsWith("publisher_config.json"));

function textOf(file: string): string {
  return readFileSync(new URL(file, FOLDER), "utf8");
}

function targetsOf(file: string): Targets {
  const parsed = parseTargets(textOf(file));
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  return parsed.targets;
}

test("there is one for each kind of node", () => {
  expect(files.toSorted()).toEqual([
    "fega-norway.full.publisher_config.json",
    "fega-norway.publisher_config.json",
    "localega.publisher_config.json",
    "sda.publisher_config.json",
  ]);
});

describe.each(files)("%s", (file) => {
  test("is taken without a problem, an ignored key or a warning", () => {
    expect(parseTargets(textOf(file))).toMatchObject({ ok: true, ignored: [], warnings: [] });
  });

  test("is valid by the JSON Schema", () => {
    expect(schemaProblems(JSON.parse(textOf(file)))).toEqual([]);
  });

  test("finds each worker by the tag that it has, and by no other worker's", () => {
    const listeners = targetsOf(file).queues.flatMap(({ listeners }) => listeners);
    expect(listeners.length).toBeGreaterThan(0);
    for (const { name, matches } of listeners) {
      const own = tagsOf(name);
      const others = listeners.filter((other) => other.name !== name).flatMap((other) => tagsOf(other.name));
      expect([name, own.filter((tag) => !matches(tag))]).toEqual([name, []]);
      expect([name, [...others, ...STRANGE_TAGS].filter((tag) => matches(tag))]).toEqual([name, []]);
    }
  });
});

/**
 * The Go library of the SDA's workers and of the interceptor calls a consumer after the command as it was started, and
 * counts; LocalEGA's handler is a Python program.
 */
function tagsOf(worker: string): string[] {
  if (worker === "lega-handler") return ["ctag1.0a1b2c3d4e5f60718293a4b5c6d7e8f9"];
  return [`ctag-${worker}-1`, `ctag-/usr/local/bin/${worker}-12`];
}

/** What the broker itself, and other libraries, call a consumer. */
const STRANGE_TAGS = ["amq.ctag-8bF0yUDUvBkDZ8qDAxHNYQ", "ctag-sda-syncapi-1", "none", ""];

test("upstream reads the same hosts and consumers in both files of FEGA-Norway", () => {
  const upstream = JSON.parse(textOf("fega-norway.publisher_config.json")).heartbeat;
  const full = JSON.parse(textOf("fega-norway.full.publisher_config.json")).heartbeat;
  expect(full.hosts).toMatchObject(upstream.hosts);
  expect(full.rmq_consumers).toMatchObject(upstream.rmq_consumers);
});

describe("of the full ones", () => {
  const full = files.filter((file) => file !== "fega-norway.publisher_config.json");

  test.each(full)("%s names the root of a failure once", (file) => {
    const { queues, components } = targetsOf(file);
    const dependent = [...queues.flatMap(({ listeners }) => listeners), ...components].filter(
      ({ dependsOn }) => dependsOn.length > 0,
    );
    expect(dependent.length).toBeGreaterThan(5);
  });

  test.each(full)("%s has a broker whose certificate, when it is about to expire, hides nothing", (file) => {
    const { queues, components } = targetsOf(file);
    const dependent = [...queues, ...queues.flatMap(({ listeners }) => listeners), ...components];
    const parents = new Set(dependent.flatMap(({ dependsOn }) => dependsOn.map(({ name }) => name)));
    const withCertificate = components.filter(({ probe, options }) => {
      return probe === "tls" || (probe === "broker" && options["certificateDays"] !== 0);
    });
    expect(withCertificate.map(({ name }) => name).filter((name) => parents.has(name))).toEqual([]);
    expect(withCertificate.every(({ policy }) => policy.severity === "warn")).toBe(true);
  });
});
