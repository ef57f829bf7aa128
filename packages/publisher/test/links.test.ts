import { describe, expect, test } from "vitest";
import type { Observation } from "../src/probe.ts";
import { type FederationLinks, judgeFederation } from "../src/probes/federation.ts";
import { ManagementError } from "../src/probes/management.ts";
import { judgeShovels, shovel, type Shovels } from "../src/probes/shovel.ts";
import { scriptedManagement, surroundings } from "./broker-look.ts";
import { inBrief } from "./in-words.ts";

const running = { name: "a", vhost: "v", state: "running" };

describe("shovels", () => {
  test.each<{ what: string; listed: Shovels; says: string; detail?: string }>([
    { what: "runs", listed: [running], says: "up" },
    { what: "of another vhost", listed: [{ ...running, vhost: "w" }], says: "down link_missing" },
    { what: "static one", listed: [{ name: "a", state: "running" }], says: "up" },
    {
      what: "static one beside it does not run",
      listed: [running, { name: "a", state: "terminated" }],
      says: "down link_not_running",
      detail: "static shovel a is terminated",
    },
    {
      what: "one that runs on one node, and was on another",
      listed: [{ ...running, state: "starting" }, running],
      says: "up",
    },
    {
      what: "slowed down for a moment",
      listed: [{ ...running, state: "flow", blocked_status: "flow" }],
      says: "up",
      detail: "shovel a is flow",
    },
    {
      what: "slowed down for a moment, in other words",
      listed: [{ ...running, blocked_status: "flow" }],
      says: "up",
      detail: "shovel a is flow",
    },
    {
      what: "moves nothing, as its destination has an alarm",
      listed: [{ ...running, blocked_status: "blocked" }],
      says: "down link_not_running",
      detail: "shovel a is blocked",
    },
    {
      what: "of a state that nobody knows",
      listed: [{ ...running, state: "odd" }],
      says: "down link_not_running",
    },
  ])("$what: $says", ({ listed, says, detail }) => {
    const seen: Observation = judgeShovels(["a"], "v", listed);
    expect(inBrief(seen)).toBe(says);
    if (detail !== undefined) expect(seen.detail).toBe(detail);
  });

  test.each([
    [`{invalid_uri,"amqp://user:sEcret@host"}`, `{invalid_uri,"amqp://(credentials)@host"}`],
    [`amqp://user:s/Ec@ret@host is bad`, `amqp://(credentials)@host is bad`],
    [
      `{amqp_params_network,<<"user">>,{plaintext,<<"sEcret">>},1}`,
      `{amqp_params_network,<<"user">>,{plaintext,(password)},1}`,
    ],
    [`amqp://user:${"sEcret".repeat(200)}@host`, "amqp://(credentials)"],
    ["\u001b[2J", "\\u{1b}[2J"],
  ])("what a shovel failed with is told without its secrets: %s", (reason, told) => {
    const listed = [{ ...running, state: "terminated", reason }];
    const { detail } = judgeShovels(["a"], "v", listed);
    expect(detail).not.toContain("sEc");
    expect(detail).toBe(`shovel a is terminated (${told})`);
    expect(detail?.length).toBeLessThanOrEqual(200);
  });

  test("a name that is given twice is counted once", () => {
    expect(judgeShovels(["a", "a"], "v", [running])).toEqual({ state: "up", values: { shovels_running: 1 } });
  });

  test("a broker without the plugin is told from one that cannot be asked", async () => {
    const look = async (get: () => Promise<never> | Promise<undefined>) => {
      const management = scriptedManagement({ get, seesAllConsumers: async () => true });
      return inBrief(
        await shovel.start({ names: ["a"] }, surroundings(management))(new AbortController().signal),
      );
    };
    expect(await look(async () => undefined)).toBe("unknown plugin_missing");
    for (const reason of ["management_unreachable", "management_refused", "timeout"] as const) {
      expect(await look(() => Promise.reject(new ManagementError(reason, "not now")))).toBe(
        `unknown ${reason}`,
      );
    }
  });

  test.each([[[]], [Array(101).fill("a")], [[""]], ["a"]])("%j are no names", (names) => {
    expect(shovel.options.safeParse({ names }).success).toBe(false);
  });
});

describe("federation", () => {
  const link = { upstream: "u", vhost: "v", status: "running", exchange: "x", upstream_exchange: "x" };
  const queueLink = { upstream: "u", vhost: "v", status: "running", queue: "x", upstream_queue: "x" };

  test.each<{ what: string; listed: FederationLinks; says: string; count: number; narrow?: object }>([
    { what: "an exchange's and a queue's of one name", listed: [link, queueLink], says: "up", count: 2 },
    { what: "listed by two nodes", listed: [{ ...link, status: "starting" }, link], says: "up", count: 1 },
    {
      what: "that of one exchange does not make up for another's",
      listed: [link, { ...link, exchange: "y", status: "error" }],
      says: "down link_not_running",
      count: 1,
    },
    {
      what: "that to another exchange upstream is another one",
      listed: [link, { ...link, upstream_exchange: "y", status: "error" }],
      says: "down link_not_running",
      count: 1,
    },
    {
      what: "that of the exchange does not make up for the queue's of its name",
      listed: [link, { ...queueLink, status: "shutdown" }],
      says: "down link_not_running",
      count: 1,
    },
    {
      what: "only the exchange's was asked for",
      listed: [link, { ...queueLink, status: "shutdown" }],
      narrow: { exchange: "x" },
      says: "up",
      count: 1,
    },
    {
      what: "only the queue's was asked for",
      listed: [link],
      narrow: { queue: "x" },
      says: "down link_missing",
      count: 0,
    },
    {
      what: "both are asked for",
      listed: [link],
      narrow: { exchange: "x", queue: "x" },
      says: "down link_missing",
      count: 1,
    },
    { what: "of another vhost", listed: [{ ...link, vhost: "w" }], says: "down link_missing", count: 0 },
    {
      what: "of another upstream",
      listed: [{ ...link, upstream: "w" }],
      says: "down link_missing",
      count: 0,
    },
  ])("$what: $says", ({ listed, says, count, narrow }) => {
    const seen = judgeFederation({ upstreams: ["u"], ...narrow }, "v", listed);
    expect(inBrief(seen)).toBe(says);
    expect(seen.values).toEqual({ links_running: count });
  });
});
