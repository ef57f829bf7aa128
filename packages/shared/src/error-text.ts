/** What was thrown, in its own words, without the stack. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
