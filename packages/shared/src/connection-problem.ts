import { addressText } from "./address.ts";
import { errorCode } from "./error-code.ts";
import { errorText } from "./error-text.ts";
import { shownCertificates } from "./shown-certificate.ts";
import { isUnverified, type ShownCertificate, tlsProblem } from "./tls-problem.ts";
import type { TlsSettings } from "./tls.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsSettings | undefined;
}

/** Where an http or https URL leads. `host` is without the brackets of an IPv6 address, as certificates have it. */
export function endpointOf(url: string, tls: TlsSettings | undefined): Endpoint {
  const { protocol, hostname, port } = new URL(url);
  const isTls = protocol === "https:";
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(port) || (isTls ? 443 : 80),
    tls: isTls ? tls : undefined,
  };
}

/** Why there is no connection, in one line for the operator. */
export function connectionProblem(
  error: unknown,
  { host, port, tls }: Endpoint,
  shown?: readonly ShownCertificate[],
): string {
  const at = addressText({ host, port });
  const code = errorCode(error);
  switch (code) {
    case "ECONNREFUSED":
      return `nothing listens at ${at} (connection refused)`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name ${host} cannot be resolved`;
    case "ETIMEDOUT":
      return `${at} does not answer`;
    case "ECONNRESET":
      return `${at} reset the connection ${whatToLookAt(tls)}`;
    default: {
      const text = errorText(error);
      // The words of Node's HTTP parser and of amqplib.
      if (text.startsWith("Socket closed abruptly"))
        return `${at} closed the connection ${whatToLookAt(tls)}`;
      if (code?.startsWith("HPE_")) {
        return `${at} speaks something else ${whatToLookAt(tls)}`;
      }
      return tlsProblem(error, { at, tls, shown }) ?? `${at}: ${text}`;
    }
  }
}

/** Some servers hang up instead of saying why. */
function whatToLookAt(tls: TlsSettings | undefined): string {
  if (!tls) return "(is it the right port, and one without TLS?)";
  const certificate = tls.cert
    ? `does it accept the client certificate ${tls.cert.path}?`
    : "does it demand a client certificate?";
  return `(is it the right port, and ${certificate})`;
}

/** The same, and where the server's certificate is not accepted, with its issuer and dates: the server is asked again. */
export async function explainedConnectionProblem(error: unknown, endpoint: Endpoint): Promise<string> {
  const { host, port, tls } = endpoint;
  const shown = tls && isUnverified(error) ? await shownCertificates(host, port, tls) : undefined;
  return connectionProblem(error, endpoint, shown);
}
