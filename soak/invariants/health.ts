import type { Health } from "../../demo/health.ts";
import { type Timeline, mayHaveBeen } from "./timeline.ts";

/** A component as /health lists it, with all that it consists of. */
export interface WatchedComponent {
  readonly site: string;
  readonly kind: "service" | "queue";
  readonly name: string;
  readonly truths: readonly Timeline[];
  /** Whether a port is looked at, which needs no broker. */
  readonly isHost: boolean;
  /** For how long a change may stay unseen: until it is believed, told, and what was told before is too old to count. */
  readonly allowedMs: number;
}

export interface Sample {
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
  readonly health: Health;
}

/**
 * What is wrong with an answer: a state of a fresh site must have been true at some moment of the last `allowedMs`, whatever
 * is broken, and 200 needs each component to be such an `up` one.
 */
export function healthProblems(
  { askedAtMs, answeredAtMs, health }: Sample,
  components: readonly WatchedComponent[],
): string[] {
  const problems: string[] = [];
  for (const { site, kind, name, truths, allowedMs } of components) {
    const listed = health.sites.find((listed) => listed.site === site);
    const told = listed?.components.find((component) => component.kind === kind && component.name === name);
    if (health.code === 200 && (listed?.state !== "fresh" || told?.state !== "up"))
      problems.push(`200, although ${kind} ${name} of site ${site} is ${told?.state ?? "not told"}`);
    if (listed?.state !== "fresh" || !told) continue;
    if (told.state !== "up" && told.state !== "down") continue;
    if (!mayHaveBeen(told.state, truths, askedAtMs - allowedMs, answeredAtMs))
      problems.push(
        `${kind} ${name} of site ${site} is told ${told.state}, and has not been so for ${allowedMs / 1000} s`,
      );
  }
  return problems;
}

/** Whether the answer is the whole truth: each site fresh, each component as it is. */
export function isTruth(health: Health, components: readonly WatchedComponent[]): boolean {
  return components.every(({ site, kind, name, truths }) => {
    const listed = health.sites.find((listed) => listed.site === site);
    const told = listed?.components.find((component) => component.kind === kind && component.name === name);
    const truth = truths.every((timeline) => timeline.now() === "up") ? "up" : "down";
    return listed?.state === "fresh" && told?.state === truth;
  });
}
