import { setTimeout as sleep } from "node:timers/promises";

/** So that an answer that hangs does not make the next one late by as much. */
const LONGEST_WAIT_MS = 100;

/**
 * Many askers, little work: who asks while an answer is being made gets the next one, together with all others who came
 * meanwhile. It is begun after they asked: nobody is told what was true only before the question.
 */
export function shared<T>(make: () => Promise<T>): () => Promise<T> {
  let current: Promise<T> | undefined;
  let next: Promise<T> | undefined;

  function begin(): Promise<T> {
    const begun = make();
    current = begun;
    next = undefined;
    const ended = () => {
      if (current === begun) current = undefined;
    };
    begun.then(ended, ended);
    return begun;
  }

  return () => {
    if (!current) return begin();
    next ??= Promise.race([current, sleep(LONGEST_WAIT_MS, undefined, { ref: false })]).then(begin, begin);
    return next;
  };
}
