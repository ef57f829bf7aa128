import type { LogLine } from "../service-process.ts";

/** A time in which something is away for a service, unix milliseconds, from its beginning until all is well again. */
export interface OutageWindow {
  readonly fault: string;
  /** As the log names it: broker, redis, publishing, management API. */
  readonly subjects: readonly string[];
  /** Of these, what whoever needs it and lives through all of it must have told as away. */
  readonly certain: readonly string[];
  /** How often each of them may be told as away. */
  readonly mostOutages: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** What belongs to it may be told so much later. */
  readonly graceMs: number;
}

/** One run of a service. Times are unix milliseconds. */
export interface Life {
  /** What it needs, as the log names it. */
  readonly needs: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** What is wrong in how one run of a service told of outages: each is to be told once, and its end. */
export function outageProblems(
  lines: readonly LogLine[],
  windows: readonly OutageWindow[],
  life: Life,
): string[] {
  const problems: string[] = [];
  const awayAt = new Map<string, { fromMs: number; toMs: number }[]>();
  const open = new Set<string>();
  for (const { msg, time, cause } of lines) {
    const [, stillAway] = /^(.+) still unavailable$/.exec(msg) ?? [];
    const [, away] = /^(.+) unavailable$/.exec(msg) ?? [];
    const [, back] = /^(.+) available again$/.exec(msg) ?? [];
    if (stillAway === undefined && away !== undefined) {
      if (open.has(away)) problems.push(`${away}: told to be away twice before it was back`);
      open.add(away);
      awayAt.set(away, [...(awayAt.get(away) ?? []), { fromMs: time, toMs: Infinity }]);
      if (!windows.some((window) => covers(window, away, time, window.graceMs)))
        problems.push(`${away}: an outage at ${clock(time)} that nobody made (${String(cause)})`);
    }
    if (back !== undefined && !open.delete(back))
      problems.push(`${back}: told to be back, but not to be away`);
  }
  for (const window of windows) {
    const { fault, fromMs, toMs } = window;
    for (const subject of window.subjects) {
      const count = (awayAt.get(subject) ?? []).filter((away) => covers(window, subject, away.fromMs)).length;
      if (count > window.mostOutages)
        problems.push(`${subject}: one outage (${fault}) is told as ${count}, at ${clock(fromMs)}`);
    }
    const isWitness = life.fromMs < fromMs && toMs < life.toMs;
    for (const subject of window.certain.filter((subject) => isWitness && life.needs.includes(subject))) {
      const isTold = (awayAt.get(subject) ?? []).some((away) => away.fromMs <= toMs && fromMs <= away.toMs);
      if (!isTold) problems.push(`${subject}: nothing is told of an outage (${fault}) at ${clock(fromMs)}`);
    }
  }
  return problems;
}

function covers(
  { subjects, fromMs, toMs }: OutageWindow,
  subject: string,
  atMs: number,
  graceMs = 0,
): boolean {
  return subjects.includes(subject) && fromMs <= atMs && atMs <= toMs + graceMs;
}

function clock(atMs: number): string {
  return new Date(atMs).toISOString();
}
