import { endpointOf, explainedConnectionProblem } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { isTlsFault } from "@pipeline-heartbeat/shared/tls-problem.ts";
import type { TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";
import type * as z from "zod";
import type { Reason } from "../probe.ts";
import { type HttpReply, httpClient } from "./http-get.ts";
import {
  consumersSchema,
  notFoundSchema,
  type QueueConsumer,
  queueNamesSchema,
  queueSchema,
  whoamiSchema,
} from "./management-answers.ts";

export interface ManagementSettings {
  /** Without a slash at the end, such as `https://mq.example:15671`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  readonly tls: TlsSettings | undefined;
}

/** The management API could not be asked, or gave no answer that tells anything. */
export class ManagementError extends Error {
  override readonly name = "ManagementError";
  readonly reason: Reason;

  constructor(reason: Reason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** RabbitMQ's management API, as far as it is asked. All reject with ManagementError. */
export interface ManagementQuestions {
  /**
   * What `/api/PATH` answers with 200 or, where `otherSchemas` has a schema for another status, with that; undefined where
   * the API itself says that there is no such thing. The parts of the path are encoded by the caller.
   */
  get<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    signal: AbortSignal,
    otherSchemas?: Readonly<Record<number, Schema>>,
  ): Promise<z.output<Schema> | undefined>;
  /** Whether the user sees other users' consumers in the list of all: only with one of two tags. */
  seesAllConsumers(signal: AbortSignal): Promise<boolean>;
  /** All consumers of the vhost, in one call. */
  consumers(signal: AbortSignal): Promise<QueueConsumer[]>;
  /** The names of all queues of the vhost, in one call. */
  queues(signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** The consumers of one queue, whoever they belong to; undefined when there is no such queue. */
  consumersOf(queue: string, signal: AbortSignal): Promise<QueueConsumer[] | undefined>;
}

export interface Management extends ManagementQuestions {
  close(): void;
}

/** Many thousands of consumers fit; a reply that never ends does not. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
/** Queues are asked for side by side only where the user may not see the list of all. */
const MAX_CONNECTIONS = 8;
/** So much of a refusal is read, and so much told. */
const MAX_READ_LENGTH = 10_000;
const DETAIL_LENGTH = 200;

export function management(settings: ManagementSettings): Management {
  const vhost = encodeURIComponent(settings.vhost);
  const credentials = Buffer.from(`${settings.user}:${settings.password}`).toString("base64");
  const client = httpClient({
    tls: settings.tls,
    headers: { authorization: `Basic ${credentials}` },
    maxConnections: MAX_CONNECTIONS,
    maxReplyBytes: MAX_REPLY_BYTES,
  });

  async function get<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    signal: AbortSignal,
    otherSchemas: Readonly<Record<number, Schema>> = {},
  ): Promise<z.output<Schema> | undefined> {
    const { statusCode, text } = await ask(path, signal);
    if (statusCode === 404 && isNotFound(text)) return undefined;
    const expected = statusCode === 200 ? schema : otherSchemas[statusCode];
    if (!expected) throw statusProblem(statusCode, withoutSecrets(text.slice(0, MAX_READ_LENGTH)));
    const parsed = expected.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    throw new ManagementError("management_failed", "the answer of the management API was not understood");
  }

  /** What a proxy says of a request that it did not like may repeat its headers. */
  function withoutSecrets(text: string): string {
    return text.replaceAll(credentials, "(credentials)").replaceAll(settings.password, "(password)");
  }

  async function ask(path: string, signal: AbortSignal): Promise<HttpReply> {
    if (hasDotsOnly(settings.vhost)) {
      throw new ManagementError("management_failed", "the vhost has a name that no address can hold");
    }
    try {
      return await client.get(`${settings.url}/api/${path}`, signal);
    } catch (error) {
      if (signal.aborted) throw new ManagementError("timeout", "the management API did not answer in time");
      const cause = await explainedConnectionProblem(error, endpointOf(settings.url, settings.tls));
      const reason = isTlsFault(error) ? "tls_failed" : "management_unreachable";
      throw new ManagementError(reason, `the management API cannot be reached: ${cause}`);
    }
  }

  /** A list of the vhost. */
  async function list<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    signal: AbortSignal,
  ): Promise<z.output<Schema>> {
    const answer = await get(path, schema, signal);
    if (answer !== undefined) return answer;
    throw new ManagementError("management_failed", "the management API knows no such vhost");
  }

  return {
    get,
    async seesAllConsumers(signal) {
      const user = await get("whoami", whoamiSchema, signal);
      if (!user) throw new ManagementError("management_failed", "there is no management API at this address");
      return user.tags.includes("administrator") || user.tags.includes("monitoring");
    },
    async consumers(signal) {
      const columns = "queue.name,consumer_tag,activity_status";
      return await list(`consumers/${vhost}?columns=${columns}`, consumersSchema, signal);
    },
    async queues(signal) {
      return new Set(await list(`queues/${vhost}?columns=name&disable_stats=true`, queueNamesSchema, signal));
    },
    async consumersOf(queue, signal) {
      const path = `queues/${vhost}/${encodeURIComponent(queue)}?columns=name,consumer_details`;
      const found = await get(path, queueSchema, signal);
      if (!found) return undefined;
      // A proxy that decodes the address once more asks for another queue.
      if (found.name !== queue) throw new ManagementError("management_failed", "another queue was answered");
      if (!found.consumer_details) throw statisticsDisabled();
      return found.consumer_details;
    },
    close: () => client.close(),
  };
}

/** Of several, the one that is the current one when a question is asked. */
export function currentManagement(current: () => Management): ManagementQuestions {
  return {
    get: (...question) => current().get(...question),
    seesAllConsumers: (signal) => current().seesAllConsumers(signal),
    consumers: (signal) => current().consumers(signal),
    queues: (signal) => current().queues(signal),
    consumersOf: (queue, signal) => current().consumersOf(queue, signal),
  };
}

function statusProblem(statusCode: number, text: string): ManagementError {
  if (/stats in management ui are disabled/i.test(text)) return statisticsDisabled();
  const refused = statusCode === 401 || statusCode === 403;
  const detail = `the management API answered ${statusCode}: ${text.slice(0, DETAIL_LENGTH)}`;
  return new ManagementError(refused ? "management_refused" : "management_failed", detail);
}

function statisticsDisabled(): ManagementError {
  return new ManagementError("statistics_disabled", "the management API has its statistics switched off");
}

/** A 404 of something else, as of a proxy that does not like `%2F`, says nothing about a queue. */
function isNotFound(text: string): boolean {
  return notFoundSchema.safeParse(parseJson(text)).success;
}

/** Whatever builds or serves an address takes `.` and `..` in it for steps, not for names. */
function hasDotsOnly(name: string): boolean {
  return name === "." || name === "..";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the schema refuses it
  }
}
