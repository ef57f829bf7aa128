import * as z from "zod";
import type { Observation, Reason } from "../probe.ts";
import { shortened } from "./shortened.ts";

/** What RabbitMQ's health checks answer: `ok`, or `failed` with why, and one of the lists. */
const healthSchema = z.object({
  status: z.enum(["ok", "failed"]),
  reason: z.string().optional().catch(undefined),
  alarms: z
    .array(z.object({ node: z.string().optional(), resource: z.string() }))
    .optional()
    .catch(undefined),
  expired: z
    .array(
      z.object({
        port: z.number().optional(),
        certfile_expires_on: z.array(z.string()).catch([]).default([]),
        cacertfile_expires_on: z.array(z.string()).catch([]).default([]),
      }),
    )
    .optional()
    .catch(undefined),
  queues: z
    .array(
      z.object({ name: z.string().catch("(unnamed)"), virtual_host: z.string().optional().catch(undefined) }),
    )
    .optional()
    .catch(undefined),
});

/** With 200, and with 503: the other way round it is an answer of something else. */
export const okSchema = healthSchema.refine(({ status }) => status === "ok");
export const failedSchema = healthSchema.refine(({ status }) => status === "failed");

export type Health = z.output<typeof healthSchema>;

export const nodesSchema = z.array(
  z.object({
    name: z.string(),
    mem_alarm: z.boolean().optional().catch(undefined),
    mem_used: z.number().optional().catch(undefined),
    mem_limit: z.number().optional().catch(undefined),
    disk_free_alarm: z.boolean().optional().catch(undefined),
    /** A text where the platform does not tell. */
    disk_free: z.number().optional().catch(undefined),
    disk_free_limit: z.number().optional().catch(undefined),
  }),
);

export type Nodes = z.output<typeof nodesSchema>;

/** Of the worst first; all of them are told. */
const WORST_FIRST: readonly Reason[] = [
  "memory_alarm",
  "disk_alarm",
  "alarm",
  "certificate_expired",
  "quorum_critical",
  "certificate_expires_soon",
];

/** The worst of what the checks found. Nothing is not well: whoever checked nothing knows nothing. */
export function judgeHealth(found: readonly Observation[]): Observation {
  const [worst, ...others] = found.toSorted((a, b) => rank(a) - rank(b));
  if (!worst) return { state: "unknown", reason: "probe_failed", detail: "all checks are switched off" };
  if (worst.state === "up") return { state: "up" };
  const bad = [worst, ...others.filter(({ state }) => state !== "up")];
  const details = new Set(bad.flatMap(({ detail }) => detail ?? []));
  return { ...worst, detail: shortened([...details].join("; ")) };
}

function rank({ state, reason }: Observation): number {
  if (state === "up") return WORST_FIRST.length + 1;
  if (state === "unknown" || reason === undefined) return WORST_FIRST.length;
  return WORST_FIRST.indexOf(reason);
}

export function judgeAlarms({ status, reason, alarms = [] }: Health, nodes: Nodes): Observation[] {
  if (status === "ok") return [{ state: "up" }];
  if (alarms.length === 0) return [{ state: "down", reason: "alarm", detail: reason ?? "there is an alarm" }];
  return alarms.map(({ node, resource }) => {
    const limits = nodes.find(({ name }) => name === node);
    if (resource.startsWith("memory")) return alarm("memory_alarm", resource, node, memoryInWords(limits));
    if (resource.startsWith("disk")) return alarm("disk_alarm", resource, node, diskInWords(limits));
    return alarm("alarm", resource, node, "");
  });
}

function alarm(reason: Reason, resource: string, node: string | undefined, limits: string): Observation {
  return { state: "down", reason, detail: `alarm of ${resource} on ${node ?? "a node"}${limits}` };
}

// The statistics lag: without the alarm in them they are those from before it.
function memoryInWords({ mem_alarm, mem_used, mem_limit }: Partial<Nodes[number]> = {}): string {
  if (!mem_alarm || mem_used === undefined || mem_limit === undefined) return "";
  return ` (${mem_used} bytes used of ${mem_limit})`;
}

function diskInWords({ disk_free_alarm, disk_free, disk_free_limit }: Partial<Nodes[number]> = {}): string {
  if (!disk_free_alarm || disk_free === undefined || disk_free_limit === undefined) return "";
  return ` (${disk_free} bytes free, at least ${disk_free_limit} needed)`;
}

/** A single node is never critical, says RabbitMQ: nothing could keep its quorum. */
export function judgeQuorum({ status, queues = [] }: Health): Observation {
  if (status === "ok") return { state: "up" };
  const some = queues
    .slice(0, 3)
    .map(({ name, virtual_host: vhost }) => (vhost ? `${name} in ${vhost}` : name));
  const names = some.length > 0 ? `: ${some.join(", ")}` : "";
  const more = queues.length > some.length ? ` and ${queues.length - some.length} more` : "";
  const detail = `the node's loss would cost quorum queues their quorum${names}${more}`;
  return { state: "down", reason: "quorum_critical", detail };
}

export function judgeCertificates({ status, expired = [] }: Health, nowMs: number): Observation {
  if (status === "ok") return { state: "up" };
  const ends = expired.flatMap((listener) =>
    [...listener.certfile_expires_on, ...listener.cacertfile_expires_on].map((end) => ({
      end,
      port: listener.port,
    })),
  );
  const isOver = ends.some(({ end }) => timeMs(end) <= nowMs);
  const first = ends.toSorted((a, b) => timeMs(a.end) - timeMs(b.end))[0];
  const words = first
    ? `on the port ${first.port ?? "(unknown)"} the first ends at ${first.end} UTC`
    : "soon";
  return {
    state: "down",
    reason: isOver ? "certificate_expired" : "certificate_expires_soon",
    detail: `the broker's certificates end: ${words}`,
  };
}

/** RabbitMQ writes `2026-11-24 0:47:14`, in UTC. NaN, which is before and after nothing, where it is no time. */
function timeMs(end: string): number {
  const [, date, hour, rest] = /^(\d{4}-\d\d-\d\d) (\d{1,2}):(\d\d:\d\d)$/.exec(end) ?? [];
  return Date.parse(`${date}T${hour?.padStart(2, "0")}:${rest}Z`);
}
