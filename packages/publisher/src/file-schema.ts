import { MAX_NAME_LENGTH } from "@pipeline-heartbeat/shared/heartbeat.ts";
import * as z from "zod";
import { beliefShape, dependsOn, policyShape } from "./policy-options.ts";
import type { ProbeKind } from "./probe-kind.ts";
import * as kinds from "./probe-kinds.ts";
import { port, text, whole } from "./probes/options.ts";
import { parseTagPattern } from "./tag-pattern.ts";

/** All kinds of probes, by their names in the file, in the order of these. */
export const probeKinds: ReadonlyMap<string, ProbeKind> = new Map(
  Object.entries<ProbeKind>(kinds).toSorted(([a], [b]) => (a < b ? -1 : 1)),
);

/**
 * The schema of publisher_config.json. In what upstream knows, hosts and rmq_consumers, `object` says what becomes of
 * unknown keys: the service passes them over, as upstream does. In what it does not know they are always an error.
 */
export function fileSchema(object: typeof z.object | typeof z.strictObject) {
  const host = object({ ...hostShape(), ...policyShape(object), dependsOn: dependsOn() }).superRefine(
    ({ host, name }, context) => {
      const asName = componentName().safeParse(host);
      if (name !== undefined || host === "" || asName.success) return;
      const message = host.includes(":")
        ? "is missing: the address has a ':', which no name may have"
        : `is missing: the address cannot be a name, because it ${asName.error.issues[0]?.message}`;
      context.addIssue({ code: "custom", path: ["name"], message });
    },
  );
  const listener = object({
    tag: tagPattern().describe("a Python regular expression that is searched in consumers' tags"),
    name: componentName().describe("what it is called"),
    min: whole(1, 10_000).optional().describe("so many such consumers at least (1)"),
    ...beliefShape(object),
    dependsOn: dependsOn(),
  });
  const queue = object({
    queue: componentName().describe("the queue's name"),
    listeners: z
      .array(listener, "expected a list")
      .default([])
      .describe("the consumers that should be attached to it"),
    ...policyShape(object),
    dependsOn: dependsOn(),
  });
  const heartbeat = object(
    {
      hosts: z.array(host, "expected a list").default([]).describe("ports that should accept a connection"),
      rmq_consumers: z
        .array(queue, "expected a list")
        .default([])
        .describe("queues that should be there, with their consumers"),
      defaults: z
        .strictObject(policyShape(z.strictObject), "expected an object")
        .default({})
        .describe("for all that says nothing else"),
      components: z
        .array(componentSchema(), "expected a list")
        .default([])
        .describe("whatever else there is to look at"),
    },
    {
      error: (issue) =>
        issue.code === "invalid_type" ? "expected an object with hosts and rmq_consumers" : undefined,
    },
  );
  return object({ heartbeat });
}

export type File = z.output<ReturnType<typeof fileSchema>>;

function hostShape() {
  return {
    host: text().describe("its name or address"),
    port: port().describe("1 to 65535"),
    name: componentName().optional().describe("what it is called; without it the address leaves the site"),
  };
}

/** One of each kind. What they have in common stands beside the kind's own options. */
function componentSchema() {
  const each = [...probeKinds].map(([probe, kind]) =>
    kind.options.safeExtend({
      name: componentName()
        .optional()
        .describe(kind.defaultName ? "what it is called (the queue's name)" : "what it is called"),
      probe: z.literal(probe).describe(kind.summary),
      ...policyShape(z.strictObject),
      dependsOn: dependsOn(),
    }),
  );
  const [first, ...rest] = each;
  if (!first) throw new Error("there is no kind of probe");
  return z.discriminatedUnion("probe", [first, ...rest], {
    error: (issue) =>
      issue.code === "invalid_union"
        ? `expected one of ${[...probeKinds.keys()].join(", ")}`
        : "expected an object",
  });
}

/** Every component's name; it becomes a part of a Redis key in which `:` separates. */
export function componentName() {
  return z
    .string("expected a text")
    .min(1, "is empty")
    .max(MAX_NAME_LENGTH, `is longer than ${MAX_NAME_LENGTH} characters`)
    .regex(/^[^:]*$/, "must not have a ':'")
    .regex(/^\P{Cc}*$/u, "must not have control characters")
    .regex(/^$|\S/, "is blank")
    .refine((name) => name.isWellFormed(), "is not well-formed text");
}

function tagPattern() {
  return z.string("expected a Python regular expression").transform((pattern, context) => {
    const parsed = parseTagPattern(pattern);
    if (parsed.ok) return { pattern, matches: parsed.matches };
    context.addIssue(`cannot be used as a tag pattern: ${parsed.reason}`);
    return z.NEVER;
  });
}
