import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseTargets } from "../src/parse-file.ts";

function problemsOf(file: unknown): string {
  const parsed = parseTargets(typeof file === "string" ? file : JSON.stringify(file));
  return parsed.ok ? "none" : parsed.problems.join("\n");
}

function warningsOf(file: unknown): string {
  const parsed = parseTargets(typeof file === "string" ? file : JSON.stringify(file));
  return parsed.ok
    ? [...parsed.ignored, ...parsed.warnings].join("\n")
    : `problems: ${parsed.problems.join("\n")}`;
}

const host = { host: "db", port: "5432", name: "sda-db" };
const consumer = { queue: "inbox", listeners: [{ tag: "mq-interceptor", name: "mq-interceptor" }] };
const file = (heartbeat: object) => ({ heartbeat });

test("the file of FEGA-Norway is taken as it is", () => {
  const path = new URL("../../../examples/fega-norway.publisher_config.json", import.meta.url);
  const parsed = parseTargets(readFileSync(path, "utf8"));
  if (!parsed.ok) throw new Error(parsed.problems.join());
  expect([...parsed.ignored, ...parsed.warnings]).toEqual([]);
  expect(parsed.targets.components).toMatchObject([
    { section: "hosts", probe: "tcp", name: "sda-doa", options: { host: "doa", port: 8080 } },
    { section: "hosts", probe: "tcp", name: "sda-db", options: { host: "db", port: 5432 } },
  ]);
  expect(parsed.targets.queues.map(({ queue }) => queue)).toEqual([
    "inbox",
    "ingest",
    "archived",
    "verified",
    "completed",
    "accessionIDs",
    "mappings",
    "error",
    "files",
  ]);
  const [inbox] = parsed.targets.queues;
  expect(inbox?.listeners[0]?.matches("ctag-/mq-interceptor-3")).toBe(true);
  expect(inbox?.listeners[0]?.matches("ctag-/app/sda-ingest-1")).toBe(false);
});

describe("what may be left out", () => {
  test("a name defaults to the host, a port may be a number, either list may be missing", () => {
    const parsed = parseTargets(JSON.stringify(file({ hosts: [{ host: "db", port: 5432 }] })));
    expect(parsed).toMatchObject({
      ok: true,
      targets: { components: [{ name: "db", options: { host: "db", port: 5432 } }], queues: [] },
    });
  });

  test("a queue without listeners, and a queue that occurs twice", () => {
    const parsed = parseTargets(
      JSON.stringify(file({ rmq_consumers: [{ queue: "a" }, { queue: "a", listeners: [] }] })),
    );
    expect(parsed).toMatchObject({ ok: true, targets: { queues: [{ queue: "a" }, { queue: "a" }] } });
  });

  test("notes and the schema's address are passed over", () => {
    const noted = { $schema: "x", _note: 1, ...file({ _why: "x", hosts: [{ ...host, _owner: "x" }] }) };
    expect(warningsOf(noted)).toBe("");
  });
});

describe("problems name the place in the file, never what stands there", () => {
  test.each([
    { what: "no JSON", file: '{"heartbeat": hunter2', says: "is not JSON" },
    {
      what: "no UTF-8",
      file: Buffer.from('{"heartbeat":"k\xf8"}', "latin1").toString(),
      says: "is not UTF-8",
    },
    {
      what: "lists in lists without end",
      file: `{"heartbeat":{"hosts":${"[".repeat(20_000)}${"]".repeat(20_000)}}}`,
      says: "is nested too deep",
    },
    {
      what: "an unknown key of great depth",
      file: `{"x":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
      says: "too deep",
    },
    { what: "a list", file: [], says: "the file: " },
    { what: "no heartbeat", file: {}, says: "heartbeat: expected an object" },
    { what: "nothing to watch", file: file({}), says: "heartbeat: has nothing to watch" },
    { what: "empty lists", file: file({ hosts: [], rmq_consumers: [] }), says: "has nothing to watch" },
    { what: "hosts that are no list", file: file({ hosts: {} }), says: "heartbeat.hosts: expected a list" },
    {
      what: "port 0",
      file: file({ hosts: [{ ...host, port: 0 }] }),
      says: "heartbeat.hosts[0].port: expected a port",
    },
    {
      what: "port 70000",
      file: file({ hosts: [host, { ...host, port: "70000" }] }),
      says: "heartbeat.hosts[1].port: expected a port",
    },
    {
      what: "port abc",
      file: file({ hosts: [{ ...host, port: "abc" }] }),
      says: "heartbeat.hosts[0].port: expected a port",
    },
    {
      what: "an empty port",
      file: file({ hosts: [{ ...host, port: "" }] }),
      says: "heartbeat.hosts[0].port: expected a port",
    },
    {
      what: "a missing port",
      file: file({ hosts: [{ host: "db" }] }),
      says: "heartbeat.hosts[0].port: expected a port",
    },
    {
      what: "a missing host",
      file: file({ hosts: [{ port: 1 }] }),
      says: "heartbeat.hosts[0].host: expected a text",
    },
    {
      what: "an empty name",
      file: file({ hosts: [{ ...host, name: "" }] }),
      says: "heartbeat.hosts[0].name: is empty",
    },
    {
      what: "a name with a colon",
      file: file({ hosts: [{ ...host, name: "a:b" }] }),
      says: "heartbeat.hosts[0].name: must not have a ':'",
    },
    {
      what: "an address with colons and no name",
      file: file({ hosts: [{ host: "::1", port: 1 }] }),
      says: "heartbeat.hosts[0].name: ",
    },
    {
      what: "a queue with a colon",
      file: file({ rmq_consumers: [{ queue: "a:b" }] }),
      says: "heartbeat.rmq_consumers[0].queue: must not",
    },
    {
      what: "a listener with a colon",
      file: file({ rmq_consumers: [{ queue: "a", listeners: [{ tag: "x", name: "a:b" }] }] }),
      says: "heartbeat.rmq_consumers[0].listeners[0].name: must not",
    },
    {
      what: "a broken pattern",
      file: file({ rmq_consumers: [{ queue: "a", listeners: [{ tag: "(x", name: "x" }] }] }),
      says: "heartbeat.rmq_consumers[0].listeners[0].tag: cannot be used",
    },
    {
      what: "a missing tag",
      file: file({ rmq_consumers: [{ queue: "a", listeners: [{ name: "x" }] }] }),
      says: "listeners[0].tag: expected a Python regular expression",
    },
  ])("$what", ({ file, says }) => {
    const told = problemsOf(file);
    expect(told).toContain(says);
    expect(told).not.toMatch(/hunter2|abc|70000/);
  });

  test("all of them are told at once", () => {
    const told = problemsOf(
      file({
        hosts: [{ host: "", port: 0 }],
        rmq_consumers: [{ queue: "", listeners: [{ tag: "(", name: "a:b" }] }],
      }),
    );
    expect(told.split("\n")).toHaveLength(5);
  });
});

test("unknown keys are warned about, with the nearest known key, and do no harm", () => {
  const odd = file({ hosts: [{ ...host, prot: 1 }], rmq_consumer: [consumer] });
  const warnings = warningsOf(odd);
  expect(warnings).toContain("heartbeat.hosts[0].prot: unknown key, ignored; did you mean 'port'?");
  expect(warnings).toContain("heartbeat.rmq_consumer: unknown key, ignored; did you mean 'rmq_consumers'?");
});

test.each([
  {
    where: "at the top",
    file: { ...file({ hosts: [host] }), tag: 1 },
    says: "tag: unknown key, ignored; did you mean 'heartbeat'",
  },
  {
    where: "in a host",
    file: file({ hosts: [{ ...host, nmae: 1 }] }),
    says: "[0].nmae: unknown key, ignored; did you mean 'name'",
  },
  {
    where: "in a queue",
    file: file({ rmq_consumers: [{ ...consumer, queu: 1 }] }),
    says: "[0].queu: unknown key, ignored; did you mean 'queue'",
  },
  {
    where: "in a listener",
    file: file({ rmq_consumers: [{ queue: "a", listeners: [{ tag: "a", name: "a", nam: 1 }] }] }),
    says: "listeners[0].nam: unknown key, ignored; did you mean 'name'",
  },
  {
    where: "of an odd form",
    file: { ...file({ hosts: [host] }), "a\nb": 1 },
    says: '["a\\nb"]: unknown key',
  },
])("a suggestion is a key that may stand $where", ({ file, says }) => {
  expect(warningsOf(file)).toContain(says);
});

test("an unknown key is told beside the problems that it may have caused, in the order of the lines", () => {
  const text = `{
  "heartbeat": {
    "hosts": [{ "host": "db", "prot": 5432, "name": "sda:db" }],
    "rmq_consumer": []
  }
}`;
  expect(problemsOf(text).split("\n")).toEqual([
    "line 3, column 15: heartbeat.hosts[0].port: expected a port, 1 to 65535",
    "line 3, column 31: heartbeat.hosts[0].prot: unknown key, ignored; did you mean 'port'?",
    "line 3, column 53: heartbeat.hosts[0].name: must not have a ':'",
    "line 4, column 5: heartbeat.rmq_consumer: unknown key, ignored; did you mean 'rmq_consumers'?",
  ]);
});

test("a key that occurs twice is told: only the last of the two counts", () => {
  const text = `{ "heartbeat": {
  "hosts": [{ "host": "db", "port": 1, "name": "a" }],
  "hosts": [{ "host": "db", "port": 1, "name": "b" }]
} }`;
  expect(warningsOf(text)).toBe(
    "line 3, column 3: heartbeat.hosts: repeats the key of line 2; only the last of them counts",
  );
  expect(parseTargets(text)).toMatchObject({ ok: true, targets: { components: [{ name: "b" }] } });
});

test("a host without a name is warned about: its address leaves the site", () => {
  expect(warningsOf(file({ hosts: [{ host: "10.0.0.7", port: 1 }] }))).toContain(
    "heartbeat.hosts[0]: has no name",
  );
});

test("however many they are, the warnings are few and tell the number", () => {
  const hosts = Array.from({ length: 500 }, (_, index) => ({ host: `10.0.0.${index}`, port: 1 }));
  const warnings = warningsOf(file({ hosts })).split("\n");
  expect(warnings).toHaveLength(11);
  expect(warnings.at(-1)).toContain(
    "heartbeat.hosts[499]: is the last of 490 more without a name of their own",
  );
  expect(warnings.join()).not.toContain("10.0.0");
});

const db = { name: "db", probe: "tcp", host: "db", port: 5432 };

describe("components", () => {
  test("have their probe's own options, a policy, and parents of either kind", () => {
    const parsed = parseTargets(
      JSON.stringify(
        file({
          defaults: { interval: 30, confirm: { looks: 3 } },
          rmq_consumers: [{ ...consumer, dependsOn: "db", severity: "warn" }],
          components: [{ ...db, tls: true, timeout: 0.5, dependsOn: ["queue:inbox2"] }],
          hosts: [{ host: "x", port: 1, name: "inbox2", recover: { looks: 2 } }],
        }),
      ),
    );
    expect(parsed).toMatchObject({ ok: false });
    expect(problemsOf(file({ components: [{ ...db, dependsOn: ["x"] }] }))).toContain(
      "heartbeat.components[0].dependsOn[0]: is no component's name",
    );
    const good = parseTargets(
      JSON.stringify(
        file({
          defaults: { interval: 30, confirm: { looks: 3 } },
          rmq_consumers: [{ ...consumer, dependsOn: "db", severity: "warn" }],
          components: [{ ...db, tls: true, timeout: 0.5, dependsOn: ["service:other"] }],
          hosts: [{ host: "x", port: 1, name: "other", recover: { looks: 2 } }],
        }),
      ),
    );
    expect(good).toMatchObject({
      ok: true,
      ignored: [],
      targets: {
        defaults: { interval: 30_000, confirm: { looks: 3 } },
        queues: [
          { queue: "inbox", policy: { severity: "warn" }, dependsOn: [{ kind: "service", name: "db" }] },
        ],
        components: [
          { name: "other", section: "hosts", probe: "tcp", policy: { recover: { looks: 2 } } },
          {
            name: "db",
            section: "services",
            options: { host: "db", port: 5432, tls: true },
            policy: { timeout: 500 },
            dependsOn: [{ kind: "service", name: "other" }],
          },
        ],
      },
    });
  });

  test.each([
    { what: "no probe", component: { name: "x" }, says: "[0].probe: expected one of " },
    { what: "an unknown probe", component: { ...db, probe: "exec" }, says: "[0].probe: expected one of " },
    { what: "no name", component: { ...db, name: undefined }, says: "[0].name: is missing" },
    {
      what: "an unknown key",
      component: { ...db, hots: "x" },
      says: "[0].hots: unknown key; did you mean 'host'?",
    },
    {
      what: "an unknown key in a part",
      component: { ...db, tls: { caFiel: "/x" } },
      says: "components[0].tls",
    },
    {
      what: "a missing option",
      component: { name: "db", probe: "tcp", host: "db" },
      says: "[0].port: expected a port",
    },
    {
      what: "an interval of none",
      component: { ...db, interval: 0 },
      says: "[0].interval: expected seconds",
    },
    {
      what: "flapping that can never be",
      component: { ...db, flapping: { changes: 20, looks: 10 } },
      says: "[0].flapping: has more changes",
    },
    { what: "a text", component: "x", says: "components[0]: expected an object" },
  ])("$what is an error", ({ component, says }) => {
    expect(problemsOf(file({ components: [component] }))).toContain(says);
  });

  test("the same name twice for the same kind of probe is an error, for another kind it is not", () => {
    expect(problemsOf(file({ components: [db, { ...db, host: "other" }] }))).toContain(
      "heartbeat.components[1].name: is the name of heartbeat.components[0], too",
    );
    expect(problemsOf(file({ hosts: [host], components: [{ ...db, name: "sda-db" }] }))).toBe("none");
  });

  test.each([
    { what: "itself", components: [{ ...db, dependsOn: "db" }] },
    {
      what: "what depends on it",
      components: [
        { ...db, dependsOn: "b" },
        { ...db, name: "b", dependsOn: "db" },
      ],
    },
  ])("depend on no circle: $what", ({ components }) => {
    expect(problemsOf(file({ components }))).toContain("dependsOn: it depends on itself");
  });

  test("a parent that is a service and a queue has to be told which", () => {
    const both = {
      components: [
        { ...db, name: "inbox" },
        { ...db, dependsOn: "inbox" },
      ],
      rmq_consumers: [consumer],
    };
    expect(problemsOf(file(both))).toContain("[1].dependsOn[0]: is the name of a service and of a queue");
    const told = { ...both, components: [both.components[0], { ...db, dependsOn: "queue:inbox" }] };
    expect(problemsOf(file(told))).toBe("none");
  });

  test("defaults may say how to look, not what depends on what", () => {
    expect(problemsOf(file({ hosts: [host], defaults: { dependsOn: "x" } }))).toContain(
      "heartbeat.defaults.dependsOn: unknown key",
    );
  });
});

test("of a file that is wrong from top to bottom the first 200 problems are told", () => {
  const hosts = Array.from({ length: 5_000 }, () => ({ host: "", port: 0 }));
  const told = problemsOf(file({ hosts })).split("\n");
  expect(told).toHaveLength(201);
  expect(told.at(-1)).toBe("and 9800 more");
});
