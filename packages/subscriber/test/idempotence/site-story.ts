import { encodeHeartbeat, type Heartbeat, type State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import * as fc from "fast-check";

const MINUTE_MS = 60_000;
/** So long that whatever is delivered comes before the deadline. */
const INTERVAL_MS = 24 * 60 * MINUTE_MS;
const NAMES = ["db", "mq", "inbox", "worker"] as const;

/** What happens within a boot, one minute after the other. */
interface Step {
  readonly changes: readonly { readonly component: number; readonly state: State }[];
  /** Whether a heartbeat is composed then. What changed and changed back in between is not told. */
  readonly isBeat: boolean;
  /** Whether the wall is closed from now on: heartbeats are kept, and sent when it opens. */
  readonly isClosed: boolean;
}

export interface Boot {
  /** Components that it reports, as indexes. */
  readonly components: readonly number[];
  readonly states: readonly State[];
  readonly steps: readonly Step[];
  readonly isGoodbyeSaid: boolean;
}

export interface Sent {
  readonly body: Buffer;
  readonly isBackfill: boolean;
}

const state = fc.constantFrom<State>("up", "up", "down", "unknown");
const step: fc.Arbitrary<Step> = fc.record({
  changes: fc.array(fc.record({ component: fc.nat(NAMES.length - 1), state }), { maxLength: 3 }),
  isBeat: fc.constantFrom(true, true, false),
  isClosed: fc.constantFrom(false, false, true),
});
const boot = fc.record({
  components: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
  states: fc.array(state, { minLength: NAMES.length, maxLength: NAMES.length }),
  steps: fc.array(step, { minLength: 1, maxLength: 7 }),
  isGoodbyeSaid: fc.boolean(),
});

/**
 * One to four boots, one after the other: each begins when the one before has ended, as two at a time are two publishers
 * and no history of one. A boot reports the same components all the time, and only the last may leave out what others
 * reported: of several that did, heard before those others, only the one that speaks is known to do so.
 */
export const boots: fc.Arbitrary<Boot[]> = fc.array(boot, { minLength: 1, maxLength: 4 }).map((all) => {
  const seen = new Set<number>();
  return all.map((one, index) => {
    if (index === all.length - 1) return one;
    for (const component of one.components) seen.add(component);
    return { ...one, components: [...seen] };
  });
});

/** Whether the last boot does not report what others did. */
export function leavesOut(boots: readonly Boot[]): boolean {
  const last = new Set(boots.at(-1)?.components);
  return boots.some(({ components }) => components.some((component) => !last.has(component)));
}

/** All that the boots send, in the order in which it leaves: what was kept goes after the first that could be sent. */
export function messagesOf(boots: readonly Boot[], site: string, startMs: number): Sent[] {
  let nowMs = startMs;
  return boots.flatMap((one, index) => {
    nowMs += MINUTE_MS;
    const sent = messagesOfBoot(one, { site, bootId: `boot-${index}`, startedAtMs: nowMs });
    nowMs += (one.steps.length + 1) * MINUTE_MS;
    return sent;
  });
}

function messagesOfBoot(
  { components, states, steps, isGoodbyeSaid }: Boot,
  identity: Pick<Heartbeat, "site" | "bootId" | "startedAtMs">,
): Sent[] {
  const { startedAtMs } = identity;
  const now = new Map(
    components.map((component) => {
      return [component, { state: states[component] ?? "up", sinceMs: startedAtMs + component }] as const;
    }),
  );
  const sent: Sent[] = [];
  let kept: Heartbeat[] = [];
  let sequence = 0;

  function beat(sentAtMs: number, cause: Heartbeat["cause"], isClosed: boolean): void {
    sequence += 1;
    const heartbeat: Heartbeat = {
      ...identity,
      sequence,
      sentAtMs,
      uptimeMs: sentAtMs - startedAtMs,
      intervalMs: INTERVAL_MS,
      cause,
      hosts: [],
      queues: [],
      services: [],
      components: [...now].map(([component, { state, sinceMs }]) => {
        const kind = component === 2 ? "queue" : "service";
        return { kind, name: NAMES[component] ?? "", state, sinceMs, observedAtMs: sentAtMs };
      }),
    };
    if (isClosed) {
      kept.push({ ...heartbeat, cause: "backfill" });
      return;
    }
    sent.push({ body: encodeHeartbeat(heartbeat, 2), isBackfill: false });
    sent.push(...kept.map((late) => ({ body: encodeHeartbeat(late, 2), isBackfill: true })));
    kept = [];
  }

  for (const [index, { changes, isBeat, isClosed }] of steps.entries()) {
    const atMs = startedAtMs + index * MINUTE_MS + 1_000;
    for (const [order, { component, state }] of changes.entries()) {
      if (!now.has(component) || now.get(component)?.state === state) continue;
      now.set(component, { state, sinceMs: atMs + order });
    }
    if (isBeat) beat(atMs + 500, "interval", isClosed);
  }
  // What is kept when a boot ends without a word is lost.
  if (isGoodbyeSaid) beat(startedAtMs + steps.length * MINUTE_MS, "goodbye", false);
  return sent;
}
