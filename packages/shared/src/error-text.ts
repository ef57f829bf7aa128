/** What was thrown, in its own words, without the stack. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Longer chains of causes tell nothing more, and one may be its own cause. */
const MAX_CAUSES = 5;

/**
 * What was thrown and its causes, each with its stack, for who looks for a bug. Nothing else that an error carries: that may
 * be a secret.
 */
export function errorStack(error: unknown): string {
  const stacks = [];
  let next = error;
  do {
    stacks.push((next instanceof Error && next.stack) || errorText(next));
    next = next instanceof Error ? next.cause : undefined;
  } while (next !== undefined && stacks.length <= MAX_CAUSES);
  return stacks.join("\ncaused by: ");
}
