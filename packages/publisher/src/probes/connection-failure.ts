import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import { type Endpoint, explainedConnectionProblem } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { isTlsFault } from "@pipeline-heartbeat/shared/tls-problem.ts";
import { connectionReason, type Observation } from "../probe.ts";
import { FileProblem } from "./options.ts";

/**
 * What a look tells that was ended by `error` on its way to a peer. A file that cannot be read is nothing that the peer
 * did, so nothing is known of it. May take up to 2 s longer than the signal, as the server is asked for its certificate;
 * where that cannot be done, because it does not begin with TLS, `explain` is another.
 */
export async function connectionFailure(
  error: unknown,
  endpoint: Endpoint,
  signal: AbortSignal,
  explain: (error: unknown, endpoint: Endpoint) => string | Promise<string> = explainedConnectionProblem,
): Promise<Observation> {
  if (error instanceof FileProblem) {
    return { state: "unknown", reason: "file_unreadable", detail: errorText(error) };
  }
  if (signal.aborted) return { state: "down", reason: "timeout", detail: "no answer in time" };
  const detail = await explain(error, endpoint);
  if (errorCode(error) === "CERT_HAS_EXPIRED")
    return { state: "down", reason: "certificate_expired", detail };
  const reason = isTlsFault(error) ? "tls_failed" : connectionReason(errorCode(error));
  return { state: "down", reason, detail };
}
