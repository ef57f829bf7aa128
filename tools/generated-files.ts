import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { jsonSchema } from "../packages/publisher/src/json-schema.ts";
import { probeTables } from "./probe-tables.ts";

export interface GeneratedFile {
  readonly path: string;
  /** What should be in it. */
  readonly text: string;
}

/** All that is in the repository and made from the code. */
export function generatedFiles(): GeneratedFile[] {
  const schema = `${JSON.stringify(jsonSchema(), null, 2)}\n`;
  const guide = readFileSync(docs("probes.md"), "utf8");
  return [
    { path: docs("publisher_config.schema.json"), text: schema },
    { path: docs("probes.md"), text: withTables(guide, probeTables()) },
  ];
}

function docs(name: string): string {
  return fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
}

/**
 * Each table stands between `<!-- generated: NAME -->` and `<!-- end -->`. Those of kinds of probes that the page does not
 * tell about stand together in `others`.
 */
function withTables(text: string, tables: ReadonlyMap<string, string>): string {
  const block = /<!-- generated: (\S+) -->\n[^]*?<!-- end -->/g;
  const places = new Set([...text.matchAll(block)].map(([, name = ""]) => name));
  const others = [...tables]
    .filter(([name]) => !places.has(name))
    .map(([name, tables]) => `### ${name}\n\n${tables}`);
  const all = new Map([...tables, ["others", others.join("\n\n")]]);
  return text.replaceAll(block, (_, name: string) => {
    const found = all.get(name);
    if (found === undefined) throw new Error(`docs/probes.md: there is no table ${name}`);
    return [`<!-- generated: ${name} -->`, found, "<!-- end -->"].filter(Boolean).join("\n\n");
  });
}
