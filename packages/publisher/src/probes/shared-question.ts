import pLimit from "p-limit";

/**
 * Asks what may never be answered and cannot be called off. Whoever asks what is being asked already gets that answer, and
 * so many questions at most are under way; the others wait for their turn.
 */
export function sharedQuestion<Answer>(
  ask: (about: string) => Promise<Answer>,
  atOnce: number,
): (about: string) => Promise<Answer> {
  const limit = pLimit(atOnce);
  const underWay = new Map<string, Promise<Answer>>();

  return (about) => {
    const asked = underWay.get(about);
    if (asked) return asked;
    const asking = limit(() => ask(about)).finally(() => underWay.delete(about));
    underWay.set(about, asking);
    return asking;
  };
}

/** What `promise` gives, or a rejection as soon as the signal is aborted. */
export async function inTime<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new Error("no answer in time"));
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
