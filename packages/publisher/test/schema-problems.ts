import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";

const SCHEMA = new URL("../../../docs/publisher_config.schema.json", import.meta.url);

/** Whether something is a schema is checked strictly, too; the kinds of probes name their required keys in their place. */
const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(SCHEMA, "utf8")),
);

/** What a validator of JSON Schema has to say of a file by the published schema. */
export function schemaProblems(file: unknown): string[] {
  return validate(file)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
