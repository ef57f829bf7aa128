import type { State } from "../../packages/shared/src/heartbeat.ts";

/** What the soak does that may rightly keep something from being known for a moment; each says for what it excuses. */
export type Disturbance =
  | "the broker is restarted"
  | "the publisher is started"
  | "a component is added"
  | "the subscriber is restarted"
  | "Redis is restarted";

/** From unix milliseconds to unix milliseconds; Infinity while it goes on. */
export interface Span {
  readonly what: Disturbance;
  readonly fromMs: number;
  toMs: number;
  /** The one that is added, by its key. */
  readonly component?: string;
}

/** What was said of one component: `kind:name`. */
export interface Said {
  readonly component: string;
  readonly state: State;
  readonly reason: string | undefined;
  readonly detail?: string | undefined;
}

/** What /health answered; `code` is undefined when nobody did. */
export interface Answer {
  readonly code: number | undefined;
  /** Why, in its own words. */
  readonly problems: readonly string[];
  readonly said: readonly Said[];
}

interface Alarm {
  /** A component's key, or `/health` as a whole. */
  readonly about: string;
  readonly what: string;
  readonly detail?: string | undefined;
}

export interface Judgement {
  readonly alarms: readonly Alarm[];
  /** What would have been an alarm but for them. */
  readonly excuses: readonly Disturbance[];
}

/** The pipeline is well all the time, so whoever says anything else of it is wrong, or has an excuse not to know. */
export function judgeSaid(said: readonly Said[], spans: readonly Span[], atMs: number): Judgement {
  const bad = said.filter(({ state }) => state !== "up");
  const judged = bad.map((one) => ({ one, excuse: excuseOf(one, spans, atMs) }));
  return {
    alarms: judged
      .filter(({ excuse }) => excuse === undefined)
      .map(({ one: { component, state, reason, detail } }) => ({
        about: component,
        what: reason === undefined ? state : `${state}, ${reason}`,
        detail,
      })),
    excuses: judged.flatMap(({ excuse }) => excuse ?? []),
  };
}

/** An answer for which somebody waited from `askedAtMs` to `atMs`: what excuses it may be over by its end. */
export function judgeAnswer(
  { code, problems, said }: Answer,
  spans: readonly Span[],
  askedAtMs: number,
  atMs: number,
): Judgement {
  const components = judgeSaid(said, spans, atMs);
  if (code === 200) return components;
  const excuse = spans.find(
    ({ what, fromMs, toMs }) => HIDES_HEALTH.has(what) && fromMs <= atMs && askedAtMs <= toMs,
  );
  if (excuse) return { ...components, excuses: [...components.excuses, excuse.what] };
  // It is red because of what is excused, or because of an alarm that is told already.
  if (components.excuses.length > 0 || components.alarms.length > 0) return components;
  const what = code === undefined ? "no answer" : `${code}, ${problems.join("; ") || "without a problem"}`;
  return { alarms: [{ about: "/health", what }], excuses: [] };
}

/** A component that is down is never excused: what fails here fails for less than its confirm pause. */
function excuseOf({ component, state, reason }: Said, spans: readonly Span[], atMs: number) {
  if (state !== "unknown") return undefined;
  const isFirst = reason !== undefined && FIRST_LOOK.has(reason);
  return spans.find(({ what, fromMs, toMs, component: added }) => {
    if (atMs < fromMs || toMs < atMs) return false;
    if (what === "the broker is restarted") return true;
    if (what === "the publisher is started") return isFirst;
    return what === "a component is added" && isFirst && added === component;
  })?.what;
}

const HIDES_HEALTH: ReadonlySet<Disturbance> = new Set(["the subscriber is restarted", "Redis is restarted"]);

/** Nothing else can be said before a look was confirmed. */
const FIRST_LOOK: ReadonlySet<string> = new Set(["not_looked_yet", "unconfirmed"]);
