import * as z from "zod";
import { probeKinds } from "../packages/publisher/src/file-schema.ts";
import { policyShape } from "../packages/publisher/src/policy-options.ts";
import { tlsDetails } from "../packages/publisher/src/probes/options.ts";

/** As far as options are described by it. */
type Schema = z.core.JSONSchema.BaseSchema;

/** By their names in docs/probes.md, the tables that tell what is in the code. */
export function probeTables(): ReadonlyMap<string, string> {
  const kinds = [...probeKinds].map(([name, { options, values }]): [string, string] => {
    const measured = Object.entries(values).map(([value, words]) => [`\`${value}\``, words]);
    const tables = [
      optionsTable(options),
      measured.length > 0 ? table(["value", ""], measured) : "It has no values but its latency.",
    ];
    return [name, tables.join("\n\n")];
  });
  return new Map([
    ["kinds", kindsTable()],
    ["policy", optionsTable(z.strictObject(policyShape(z.strictObject)))],
    ["tls-details", optionsTable(tlsDetails())],
    ...kinds,
  ]);
}

function kindsTable(): string {
  const rows = [...probeKinds].map(([name, { summary, kind, asks }]) => {
    return [
      `[\`${name}\`](#${name.toLowerCase()})`,
      summary,
      kind,
      asks === "broker" ? "the broker" : "it itself",
    ];
  });
  return table(["`probe`", "looks at", "is a", "asks"], rows);
}

function optionsTable(options: z.ZodType): string {
  const rows = optionRows(z.toJSONSchema(options, { io: "input" }), "");
  return table(["option", "", ""], rows);
}

/** Options within an option have a row each, but for TLS, which has a table of its own. */
function optionRows({ properties = {}, required = [] }: Schema, prefix: string): string[][] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    if (typeof schema === "boolean") return [];
    const name = `${prefix}${key}`;
    const words = [schema.description ?? "", required.includes(key) ? "**required**" : ""]
      .filter(Boolean)
      .join("; ");
    const inner = key === "tls" ? [] : alternatives(schema).filter(({ properties }) => properties);
    const own = [`\`${name}\``, typeText(schema, key), words];
    const nested = inner.flatMap((one) => optionRows(one, `${name}.`));
    return schema.description === undefined && nested.length > 0 ? nested : [own, ...nested];
  });
}

function alternatives(schema: Schema): Schema[] {
  const { anyOf = [] } = schema;
  return anyOf.length > 0 ? anyOf.filter((one) => typeof one !== "boolean") : [schema];
}

/** What may be written there, in words. */
function typeText(schema: Schema, key: string): string {
  return [...new Set(alternatives(schema).map((one) => alternativeText(one, key)))].join(" or ");
}

function alternativeText(schema: Schema, key: string): string {
  const { type, minimum, maximum, items } = schema;
  const range = minimum === undefined || maximum === undefined ? "" : `, ${minimum} to ${maximum}`;
  if (schema.anyOf) return typeText(schema, key);
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((one) => `\`${JSON.stringify(one)}\``).join(" or ");
  if (type === "array") {
    return typeof items === "object" && !Array.isArray(items) ? `list: ${typeText(items, key)}` : "list";
  }
  if (Array.isArray(type)) return type.map((one) => alternativeText({ type: one }, key)).join(" or ");
  switch (type) {
    case "integer":
      return `whole number${range}`;
    case "number":
      return `number${range}`;
    case "boolean":
      return "true or false";
    case "null":
      return "null";
    case "object":
      return key === "tls" ? "[object](#tls-options)" : "object";
    default:
      return "text";
  }
}

/** As the formatter writes it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [first = [], ...others] = cells;
  return [line(first), line(widths.map((width) => "-".repeat(width))), ...others.map(line)].join("\n");
}
