import { connectionProblem, type Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { type ChainCertificate, shownCertificates } from "@pipeline-heartbeat/shared/shown-certificate.ts";
import { printable } from "@pipeline-heartbeat/shared/printable.ts";
import type { TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";
import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { daysLeft } from "./certificate-days.ts";
import { connectionFailure } from "./connection-failure.ts";
import { host, port, tlsDetails, tlsSettings, whole } from "./options.ts";
import { timed } from "./timed.ts";
import { handshake } from "./tls-handshake.ts";

const DEFAULT_PORT = 443;
const DEFAULT_DAYS = 14;
const MAX_NAME_LENGTH = 100;

/** Up when a server's certificate is good, and it and those between it and the authority stay valid for some days. */
export const tls = probeKind({
  summary: "a certificate that stays valid for some days",
  kind: "service",
  asks: "component",
  options: z.strictObject({
    host: host().describe("its name or address"),
    port: port().default(DEFAULT_PORT).describe(`1 to 65535 (${DEFAULT_PORT}); TLS from the first byte`),
    days: whole(0, 3_650).default(DEFAULT_DAYS).describe(`so many more it has to be valid (${DEFAULT_DAYS})`),
    tls: tlsDetails().optional().describe("authorities, a client certificate, the name to expect"),
  }),
  values: {
    certificate_days_left: "days until the first certificate of the chain expires, less than 0 if it has",
  },
  start: ({ host, port, days, tls }, { now }) => {
    const settings = tlsSettings(tls ?? true, host);
    return timed((signal) => lookAt({ host, port, tls: settings }, days, now, signal));
  },
});

async function lookAt(
  endpoint: Endpoint & { readonly tls: TlsSettings },
  days: number,
  now: () => number,
  signal: AbortSignal,
): Promise<Observation> {
  try {
    return judge(await handshake(endpoint, endpoint.tls, signal), days, now());
  } catch (error) {
    if (signal.aborted || errorCode(error) !== "CERT_HAS_EXPIRED") {
      return await connectionFailure(error, endpoint, signal);
    }
    // Node does not tell what it refuses, so the server is asked again.
    const shown = await shownCertificates(endpoint.host, endpoint.port, endpoint.tls);
    const first = firstToExpire(shown ?? []);
    return {
      state: "down",
      reason: "certificate_expired",
      detail: connectionProblem(error, endpoint, shown),
      ...(first && { values: { certificate_days_left: daysLeft(first.validUntil, now()) } }),
    };
  }
}

/**
 * The authority is ours, and outlives what it has issued; a server that is its own authority has no other certificate. What
 * has expired without being in the way of the handshake is another way to an older authority.
 */
function judge(shown: readonly ChainCertificate[], days: number, nowMs: number): Observation {
  const first = firstToExpire(
    shown.filter(
      ({ isSelfIssued, validUntil }, index) =>
        index === 0 || (!isSelfIssued && validUntil.getTime() >= nowMs),
    ),
  );
  if (!first) {
    return { state: "unknown", reason: "unexpected_answer", detail: "the certificate cannot be looked at" };
  }
  const left = daysLeft(first.validUntil, nowMs);
  const values = { certificate_days_left: left };
  if (days <= left) return { state: "up", values };
  const subject = printable(first.subject).slice(0, MAX_NAME_LENGTH);
  const isExpired = left < 0;
  return {
    state: "down",
    reason: isExpired ? "certificate_expired" : "certificate_expires_soon",
    detail: `'${subject}' ${isExpired ? "expired" : "expires"} at ${first.validUntil.toISOString()}`,
    values,
  };
}

function firstToExpire(certificates: readonly ChainCertificate[]): ChainCertificate | undefined {
  return certificates.toSorted((a, b) => a.validUntil.getTime() - b.validUntil.getTime())[0];
}
