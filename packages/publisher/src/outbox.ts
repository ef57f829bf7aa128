/** A heartbeat that could not be sent when it was due, packed. */
export interface KeptHeartbeat {
  /** Its number within the boot, by which they are in order. */
  readonly sequence: number;
  readonly sentAtMs: number;
  /** Whether it tells a change of state; if not, it repeats the one before it. */
  readonly isChange: boolean;
  readonly packed: Buffer;
}

/** Heartbeats that wait for the broker, in memory only. */
export interface Outbox {
  readonly size: number;
  /** Puts it in its place, whatever was added or taken before. When full, something is dropped, perhaps this one. */
  add(heartbeat: KeptHeartbeat): void;
  /** Takes the oldest one out. What could not be sent has to be added again. */
  take(): KeptHeartbeat | undefined;
  /** How many have been dropped since this was last asked. */
  takeDropped(): number;
}

/**
 * Holds so many heartbeats and bytes. When it is full the oldest one that only repeats is dropped, and a change only where
 * there is nothing but changes: what happened can be told without the repetitions.
 */
export function outbox(mostHeartbeats: number, mostBytes: number): Outbox {
  const kept: KeptHeartbeat[] = [];
  let bytes = 0;
  let dropped = 0;

  function removeAt(index: number): KeptHeartbeat | undefined {
    const [removed] = kept.splice(index, 1);
    bytes -= removed?.packed.length ?? 0;
    return removed;
  }

  return {
    get size() {
      return kept.length;
    },
    add(heartbeat) {
      const before = kept.findLastIndex(({ sequence }) => sequence < heartbeat.sequence);
      kept.splice(before + 1, 0, heartbeat);
      bytes += heartbeat.packed.length;
      while (kept.length > mostHeartbeats || bytes > mostBytes) {
        removeAt(
          Math.max(
            0,
            kept.findIndex(({ isChange }) => !isChange),
          ),
        );
        dropped += 1;
      }
    },
    take: () => removeAt(0),
    takeDropped() {
      const before = dropped;
      dropped = 0;
      return before;
    },
  };
}
