import * as z from "zod";

/** Of statuses, both ends included. */
export interface StatusRange {
  readonly least: number;
  readonly most: number;
}

const MAX_RANGES = 50;
const EXPECTED = 'expected a status such as 200, "2xx" or "200-299", or a list of them';

/** Parsed to ranges: one, or several of which one has to fit. */
export function status() {
  const one = z.union([z.number(), z.string()], EXPECTED).transform((given, context): StatusRange => {
    const range = rangeOf(String(given));
    if (range && 200 <= range.least && range.least <= range.most && range.most <= 599) return range;
    context.addIssue(EXPECTED);
    return z.NEVER;
  });
  const several = z.array(one, EXPECTED).min(1, "is empty").max(MAX_RANGES, `has more than ${MAX_RANGES}`);
  return z.union([one.transform((range) => [range]), several], EXPECTED);
}

export function isExpectedStatus(statusCode: number, ranges: readonly StatusRange[]): boolean {
  return ranges.some(({ least, most }) => least <= statusCode && statusCode <= most);
}

/** Such as `200-299, 304`. */
export function rangesText(ranges: readonly StatusRange[]): string {
  return ranges.map(({ least, most }) => (least === most ? `${least}` : `${least}-${most}`)).join(", ");
}

function rangeOf(text: string): StatusRange | undefined {
  const hundreds = /^([2-5])xx$/i.exec(text)?.[1];
  if (hundreds) return { least: Number(hundreds) * 100, most: Number(hundreds) * 100 + 99 };
  const [, least, most = least] = /^(\d{3})(?:-(\d{3}))?$/.exec(text) ?? [];
  return least === undefined ? undefined : { least: Number(least), most: Number(most) };
}
