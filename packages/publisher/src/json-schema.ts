import * as z from "zod";
import { fileSchema } from "./file-schema.ts";
import { kindOf } from "./parse-file.ts";

interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** As in json-text.ts: keys that begin with `_` are for people, `$schema` is for editors. */
const NOTES = "^(_|\\$schema$)";
/** What is repeated and longer than this, as JSON, stands only once. */
const MAX_REPEATED_LENGTH = 60;

/**
 * The JSON Schema of publisher_config.json, by which editors complete and check it. What it refuses, the service refuses
 * or passes over. What no such schema can tell, as whether a tag is a regular expression, is found by check-config only.
 */
export function jsonSchema(): JsonSchema {
  const { $schema, ...file } = z.toJSONSchema(fileSchema(z.strictObject), {
    io: "input",
    override: ({ jsonSchema }) => {
      if (jsonSchema.type === "object") jsonSchema.patternProperties = { [NOTES]: {} };
      if (isNameless(jsonSchema.properties?.["probe"])) (jsonSchema.required ??= []).push("name");
    },
  });
  const { schema, definitions } = withDefinitions(file);
  return {
    $schema,
    title: "publisher_config.json",
    description:
      "What pipeline-heartbeat's publisher watches. Keys that begin with _ are notes, and passed over.",
    ...schema,
    $defs: definitions,
  };
}

/** Whether it is of a kind of probe whose components have no name unless they are given one. */
function isNameless(probe: unknown): boolean {
  return isSchema(probe) && typeof probe["const"] === "string" && !kindOf(probe["const"]).defaultName;
}

/** What the kinds of probes have in common is written once, under the name of its property. */
function withDefinitions(file: JsonSchema): { schema: JsonSchema; definitions: JsonSchema } {
  const counts = new Map<string, number>();
  for (const [, schema] of propertiesIn(file)) {
    const text = JSON.stringify(schema);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const definitions = new Map<string, JsonSchema>();
  const names = new Map<string, string>();

  function referring(value: unknown, property?: string): unknown {
    if (Array.isArray(value)) return value.map((one) => referring(one));
    if (!isSchema(value)) return value;
    const text = JSON.stringify(value);
    if (property !== undefined && text.length > MAX_REPEATED_LENGTH && (counts.get(text) ?? 0) > 1) {
      const name = names.get(text) ?? unusedName(property, definitions);
      names.set(text, name);
      if (!definitions.has(name)) definitions.set(name, value);
      return { $ref: `#/$defs/${name}` };
    }
    return inside(value);
  }

  function inside(schema: JsonSchema): JsonSchema {
    const entries = Object.entries(schema).map(([keyword, value]) => {
      if (keyword !== "properties" || !isSchema(value)) return [keyword, referring(value)];
      return [
        keyword,
        Object.fromEntries(Object.entries(value).map(([key, one]) => [key, referring(one, key)])),
      ];
    });
    return Object.fromEntries(entries);
  }

  const schema = inside(file);
  return { schema, definitions: Object.fromEntries(definitions) };
}

function unusedName(property: string, taken: ReadonlyMap<string, unknown>): string {
  let name = property;
  for (let number = 2; taken.has(name); number += 1) name = `${property}${number}`;
  return name;
}

/** Of all objects that it describes, with their names. */
function propertiesIn(value: unknown): [name: string, schema: JsonSchema][] {
  if (Array.isArray(value)) return value.flatMap(propertiesIn);
  if (!isSchema(value)) return [];
  const own = isSchema(value["properties"]) ? Object.entries(value["properties"]) : [];
  const named = own.flatMap(([name, schema]): [string, JsonSchema][] =>
    isSchema(schema) ? [[name, schema]] : [],
  );
  return [...named, ...Object.values(value).flatMap(propertiesIn)];
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
