import * as z from "zod";

/** What was measured of a component, by names such as `certificate_days_left`, with the unit last. */
export type Values = Readonly<Record<string, number>>;

const MAX_VALUES = 16;
const NAME_PATTERN = /^[a-z][a-z0-9_]{0,63}$/;
/** Up to it a number is exact to a tenth. */
const MAX_VALUE = 1e15;

/** As they are on the wire and in Redis. Zod's own record would tell of all that is wrong, and refuse `constructor`. */
export const valuesSchema = z.custom<Values>(
  (given) => {
    if (typeof given !== "object" || given === null || Array.isArray(given)) return false;
    const entries = Object.entries(given);
    return entries.length <= MAX_VALUES && entries.every(isValue);
  },
  { error: `is not up to ${MAX_VALUES} names with a number each` },
);

/** What of them may be sent: one that is refused would have its whole heartbeat refused, and silence the site. */
export function sendableValues(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(isValue).slice(0, MAX_VALUES));
}

function isValue([name, value]: [string, unknown]): boolean {
  return NAME_PATTERN.test(name) && typeof value === "number" && Math.abs(value) <= MAX_VALUE;
}
