const UPSTREAM_TIMESTAMP = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) UTC$/;

/** Unix milliseconds as `YYYY-MM-DD HH:MM:SS UTC`, cut to whole seconds: the form that upstream and the reader use. */
export function formatUpstreamTimestamp(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** The reverse, in unix milliseconds; undefined for anything that is not exactly that form or no real date. */
export function parseUpstreamTimestamp(text: unknown): number | undefined {
  if (typeof text !== "string" || !UPSTREAM_TIMESTAMP.test(text)) return undefined;
  const atMs = Date.parse(`${text.slice(0, 10)}T${text.slice(11, 19)}Z`);
  // Date.parse refuses 25 o'clock but takes 30 February for a day in March.
  return Number.isFinite(atMs) && formatUpstreamTimestamp(atMs) === text ? atMs : undefined;
}
