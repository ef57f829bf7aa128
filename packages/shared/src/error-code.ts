/**
 * The code of a system error, such as ECONNREFUSED. A name with several addresses, as `localhost` often is, fails with
 * an AggregateError whose message is empty; its code is the first one's.
 */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  if (error instanceof AggregateError) return errorCode(error.errors[0]);
  return error.message === "connect ETIMEDOUT" ? "ETIMEDOUT" : undefined;
}
