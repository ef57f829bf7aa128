import {
  type Answer,
  type Disturbance,
  judgeAnswer,
  type Judgement,
  judgeSaid,
  type Said,
  type Span,
} from "./judge.ts";

/** Something that the soak did to the pipeline. */
interface Deed {
  readonly atMs: number;
  readonly what: string;
}

/** The same false alarm for as long as it was repeated. */
export interface FalseAlarm {
  readonly where: "heartbeat" | "/health";
  readonly about: string;
  readonly what: string;
  readonly detail: string | undefined;
  readonly fromMs: number;
  toMs: number;
  times: number;
  /** The last things that were done before it. */
  readonly before: readonly Deed[];
}

/** Said again after so long without it, it is another alarm. */
const SAME_FOR_MS = 30_000;
const DEEDS_TOLD = 6;

/** What was done, what was said meanwhile, and what was wrong with that. Times are unix milliseconds. */
export interface Books {
  readonly alarms: readonly FalseAlarm[];
  readonly excused: ReadonlyMap<Disturbance, number>;
  readonly deeds: readonly Deed[];
  readonly heartbeats: number;
  readonly answers: number;
  /** From now on what is heard counts. */
  open(): void;
  did(what: string): void;
  /** Excuses from now on, until `end` is called. */
  disturb(what: Disturbance, component?: string): { end(atMs: number): void };
  heard(said: readonly Said[], atMs: number): void;
  answered(answer: Answer, askedAtMs: number, atMs: number): void;
}

export function keepBooks(tell: (alarm: FalseAlarm) => void): Books {
  const alarms: FalseAlarm[] = [];
  const excused = new Map<Disturbance, number>();
  const deeds: Deed[] = [];
  const spans: Span[] = [];
  let isOpen = false;
  let heartbeats = 0;
  let answers = 0;

  function note(where: FalseAlarm["where"], judgement: Judgement, atMs: number): void {
    for (const what of judgement.excuses) excused.set(what, (excused.get(what) ?? 0) + 1);
    for (const { about, what, detail } of judgement.alarms) {
      const known = alarms.findLast(
        (alarm) => alarm.where === where && alarm.about === about && alarm.what === what,
      );
      if (known && atMs - known.toMs < SAME_FOR_MS) {
        known.toMs = atMs;
        known.times += 1;
      } else {
        const before = deeds.slice(-DEEDS_TOLD);
        const alarm = { where, about, what, detail, fromMs: atMs, toMs: atMs, times: 1, before };
        alarms.push(alarm);
        tell(alarm);
      }
    }
  }

  return {
    alarms,
    excused,
    deeds,
    get heartbeats() {
      return heartbeats;
    },
    get answers() {
      return answers;
    },
    open: () => void (isOpen = true),
    did: (what) => void deeds.push({ atMs: Date.now(), what }),
    disturb(what, component) {
      const span: Span = { what, fromMs: Date.now(), toMs: Infinity, ...(component && { component }) };
      spans.push(span);
      return { end: (atMs) => void (span.toMs = atMs) };
    },
    heard(said, atMs) {
      if (!isOpen) return;
      heartbeats += 1;
      note("heartbeat", judgeSaid(said, spans, atMs), atMs);
    },
    answered(answer, askedAtMs, atMs) {
      answers += 1;
      note("/health", judgeAnswer(answer, spans, askedAtMs, atMs), atMs);
    },
  };
}
