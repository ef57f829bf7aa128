import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

const OPERATIONS = readFileSync(new URL("../docs/operations.md", import.meta.url), "utf8");

/**
 * A user with the rights that docs/operations.md gives the subscriber on one server, or in a cluster, under a name and a
 * password of its own: what ACL SETUSER takes.
 */
export function documentedUser(where: "server" | "cluster") {
  const documented = [...OPERATIONS.matchAll(/^ACL SETUSER hb-sub on >PASSWORD ([^`]*)```/gm)];
  const rules = documented[where === "server" ? 0 : 1]?.[1]?.trim().split(/\s+/);
  if (!rules || documented.length !== 2)
    throw new Error("expected one line for a server and one for a cluster");
  const [name, password] = [`documented-${randomUUID()}`, randomUUID()];
  return { name, password, rules: [name, "on", `>${password}`, ...rules] };
}
