const HALF_A_YEAR_S = 180 * 24 * 60 * 60;

/**
 * For answers that are data: nothing in them is run, framed, kept, guessed to be something else or passed on. A page sets
 * what it needs in its own route. Constant, where @fastify/helmet puts them together for each request: that took 6 MB.
 */
export function securityHeaders(isHttps: boolean): Readonly<Record<string, string>> {
  return {
    "cache-control": "no-store",
    "content-security-policy":
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    // Names below this one may be other people's: without includeSubDomains.
    ...(isHttps && { "strict-transport-security": `max-age=${HALF_A_YEAR_S}` }),
  };
}
