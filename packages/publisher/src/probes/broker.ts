import * as z from "zod";
import { probeKind, type Surroundings } from "../probe-kind.ts";
import type { Observation, Values } from "../probe.ts";
import {
  failedSchema,
  type Health,
  judgeAlarms,
  judgeCertificates,
  judgeHealth,
  judgeQuorum,
  type Nodes,
  nodesSchema,
  okSchema,
} from "./health-checks.ts";
import { ManagementError, type ManagementQuestions } from "./management.ts";
import { managementLook } from "./management-look.ts";
import { explained } from "./monitored.ts";
import { whole } from "./options.ts";
import { timed } from "./timed.ts";

const options = z
  .strictObject({
    alarms: z
      .boolean("expected true or false")
      .default(true)
      .describe("whether an alarm of memory or disk on any node is a failure (true)"),
    quorum: z
      .boolean("expected true or false")
      .default(true)
      .describe("whether it is one that without the node quorum queues would have no quorum (true)"),
    certificateDays: whole(0, 3650)
      .default(14)
      .describe("that a certificate of the node ends in so many days is one; 0: is none (14)"),
  })
  .refine(
    ({ alarms, quorum, certificateDays }) => alarms || quorum || certificateDays > 0,
    "checks nothing: alarms, quorum and certificateDays are all switched off",
  );

type Options = z.output<typeof options>;

/** Up when all health checks of RabbitMQ that are switched on are answered by 200. */
export const broker = probeKind({
  summary: "the broker's own health: alarms, quorum, certificates",
  kind: "service",
  asks: "broker",
  options,
  values: {
    memory_used_bytes: "memory in use, on the node that uses most; only with the monitoring tag",
    disk_free_bytes: "disk space left, on the node with the least; only with the monitoring tag",
  },
  start: (options, surroundings) => timed(managementLook((signal) => lookAt(options, surroundings, signal))),
});

async function lookAt(
  { alarms, quorum, certificateDays }: Options,
  { management, now }: Surroundings,
  signal: AbortSignal,
): Promise<Observation> {
  const seesNodes = await management.seesAllConsumers(signal);

  /** Each is asked, and fails, for itself: one that a version lacks says nothing about the others. */
  async function check(
    path: string,
    judge: (health: Health, nodes: Nodes) => Observation[],
  ): Promise<Observation[]> {
    try {
      const health = await ask(management, `health/checks/${path}`, signal);
      return judge(health, await nodes);
    } catch (error) {
      if (!(error instanceof ManagementError)) throw error;
      return [{ state: "unknown", reason: error.reason, detail: error.message }];
    }
  }

  const nodes = seesNodes ? askNodes(management, signal) : Promise.resolve([]);
  const found = await Promise.all([
    alarms ? check("alarms", judgeAlarms) : [],
    quorum ? check("node-is-quorum-critical", (health) => [judgeQuorum(health)]) : [],
    certificateDays > 0
      ? check(`certificate-expiration/${certificateDays}/days`, (health) => [
          judgeCertificates(health, now()),
        ])
      : [],
  ]);
  return { ...judgeHealth(found.flat()), values: valuesOf(await nodes) };
}

async function ask(management: ManagementQuestions, path: string, signal: AbortSignal): Promise<Health> {
  const asked = management.get(path, okSchema, signal, { 503: failedSchema });
  const health = await explained(management, signal, asked);
  if (health) return health;
  throw new ManagementError("management_failed", `this version of RabbitMQ has no ${path}`);
}

/** They only add to what the checks tell. */
async function askNodes(management: ManagementQuestions, signal: AbortSignal): Promise<Nodes> {
  try {
    const columns = Object.keys(nodesSchema.element.shape).join(",");
    return (await management.get(`nodes?columns=${columns}`, nodesSchema, signal)) ?? [];
  } catch (error) {
    if (error instanceof ManagementError) return [];
    throw error;
  }
}

function valuesOf(nodes: Nodes): Values {
  const used = nodes.flatMap(({ mem_used }) => mem_used ?? []);
  const free = nodes.flatMap(({ disk_free }) => disk_free ?? []);
  return {
    ...(used.length > 0 && { memory_used_bytes: Math.max(...used) }),
    ...(free.length > 0 && { disk_free_bytes: Math.min(...free) }),
  };
}
