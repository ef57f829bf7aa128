import { printable } from "@pipeline-heartbeat/shared/printable.ts";

const MAX_LENGTH = 200;

/** Somebody else's words, for a detail. */
export function shortened(text: string): string {
  const short = text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text;
  return printable(short.toWellFormed());
}
