import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Detail } from "../packages/publisher/src/compose.ts";

const SECURITY = readFileSync(fileURLToPath(new URL("../SECURITY.md", import.meta.url)), "utf8");
const DETAILS: readonly Detail[] = ["none", "code", "text"];

/** The part of SECURITY.md under a heading. */
function section(heading: string): string {
  const [, after] = SECURITY.split(`### ${heading}\n`);
  if (after === undefined) throw new Error(`SECURITY.md has no heading ${heading}`);
  return after.split(/^##/m)[0] ?? "";
}

/** The names in the first column of its table, with the second column. */
function rows(heading: string): (readonly [name: string, second: string])[] {
  const lines = section(heading).matchAll(/^\| `([^`]+)` +\| ([^|]*?) +\|/gm);
  return [...lines].map(([, name = "", second = ""]) => [name, second] as const);
}

/** What SECURITY.md says that leaves with this HEARTBEAT_DETAIL: paths of the message such as `hosts[].name`. */
export function documentedFields(detail: Detail): string[] {
  const most = DETAILS.indexOf(detail);
  return rows("In the message")
    .filter(([, from]) => DETAILS.indexOf(DETAILS.find((one) => from === `\`${one}\``) ?? "text") <= most)
    .map(([name]) => name)
    .toSorted();
}

export const documentedProperties = () => rows("Beside it, as AMQP properties").map(([name]) => name);

export const documentedClientProperties = () => rows("What the broker is told").map(([name]) => name);

export function documentedReasons(): string[] {
  const [list = ""] = /The reasons: [^.]*/.exec(section("In the message")) ?? [];
  return [...list.matchAll(/`(\w+)`/g)].map(([, reason = ""]) => reason);
}

/**
 * The paths of all that a JSON value holds, each once, in the same notation. What was measured has names of its own, so all
 * of it is one, `values.*`.
 */
export function fieldsOf(json: unknown, path = ""): string[] {
  if (Array.isArray(json)) return [...new Set(json.flatMap((one) => fieldsOf(one, `${path}[]`)))];
  if (typeof json !== "object" || json === null) return [path];
  const isMeasured = path.endsWith(".values");
  const fields = Object.entries(json).flatMap(([key, value]) =>
    fieldsOf(value, isMeasured ? `${path}.*` : path === "" ? key : `${path}.${key}`),
  );
  return [...new Set(fields)];
}
