import type { Observation } from "../probe.ts";
import { shortened } from "./shortened.ts";

/** A shovel, or one of federation's links, as one node of the broker lists it. */
export interface Link {
  /** Several nodes may list the same one. */
  readonly id: string;
  readonly inWords: string;
  readonly state: string;
  /** Why it does not run, in RabbitMQ's words. */
  readonly cause: string | undefined;
}

/** What should be there, and what is. */
export interface ExpectedLinks {
  readonly inWords: string;
  readonly links: readonly Link[];
}

export interface JudgedLinks {
  readonly observation: Observation;
  readonly running: number;
}

/**
 * `flow` is a link that runs and is slowed down for a moment, as happens to the best. `blocked` moves nothing: its
 * destination has an alarm.
 */
const RUNNING: ReadonlySet<string> = new Set(["running", "flow"]);

/** Up when everything expected is there and runs; what runs on one node runs. */
export function judgeLinks(expected: readonly ExpectedLinks[]): JudgedLinks {
  const byId = Map.groupBy(
    expected.flatMap(({ links }) => links),
    ({ id }) => id,
  );
  const links = [...byId.values()].flatMap((listed) => listed.find(isRunning) ?? listed.slice(0, 1));
  const missing = expected.filter((one) => one.links.length === 0);
  const stopped = links.filter((link) => !isRunning(link));
  const slowed = links.filter((link) => isRunning(link) && link.state !== "running");
  const detail = [
    ...missing.map(({ inWords }) => `${inWords} is not there`),
    ...[...stopped, ...slowed].map(stateInWords),
  ].join("; ");
  return {
    observation: observed(missing.length, stopped.length, detail),
    running: links.length - stopped.length,
  };
}

function observed(missing: number, stopped: number, detail: string): Observation {
  if (missing + stopped > 0) {
    const reason = missing > 0 ? "link_missing" : "link_not_running";
    return { state: "down", reason, detail: shortened(detail) };
  }
  return detail === "" ? { state: "up" } : { state: "up", detail: shortened(detail) };
}

function isRunning({ state }: Link): boolean {
  return RUNNING.has(state);
}

function stateInWords({ inWords, state, cause }: Link): string {
  const because = cause === undefined ? "" : ` (${withoutCredentials(cause)})`;
  return `${inWords} is ${state}${because}`;
}

/** The term of a crash may be long. */
const MAX_READ_LENGTH = 1_000;

/** What a link failed with is an Erlang term, which may hold the addresses with their user and password. */
function withoutCredentials(cause: string): string {
  return cause
    .slice(0, MAX_READ_LENGTH)
    .replace(/:\/\/[^\s"']*(@|$)/g, "://(credentials)$1")
    .replace(/\{(plaintext|encrypted),[^}]*(\}|$)/g, "{$1,(password)$2");
}
