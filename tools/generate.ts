// Writes what is made from the code: the JSON Schema of publisher_config.json, and the tables of docs/probes.md.
import { writeFileSync } from "node:fs";
import { generatedFiles } from "./generated-files.ts";

for (const { path, text } of generatedFiles()) writeFileSync(path, text);
