import dns from "node:dns";
import type { LookupFunction } from "node:net";

type Callback = Parameters<LookupFunction>[2];

const underWay = new Map<string, Callback[]>();

/**
 * Node's own lookup, but whoever asks for a name that is being looked up gets that answer. A lookup cannot be called off:
 * where a name server does not answer it takes up a thread for half a minute, and each new try would take up another.
 */
export const sharedLookup: LookupFunction = (hostname, options, callback) => {
  const key = JSON.stringify([hostname, options]);
  const waiting = underWay.get(key);
  if (waiting) {
    waiting.push(callback);
    return;
  }
  const callbacks = [callback];
  underWay.set(key, callbacks);
  dns.lookup(hostname, options, (...answer) => {
    underWay.delete(key);
    for (const each of callbacks) each(...answer);
  });
};
