import type { BrokerSettings } from "./broker-config.ts";
import { errorCode } from "./error-code.ts";

/** What keeps us from the broker, in one line for the operator, without secrets. */
export function brokerProblem(error: unknown, { host, amqpPort, user, vhost }: BrokerSettings): string {
  const at = `${host}:${amqpPort}`;
  const text = error instanceof Error ? error.message : String(error);
  if (/ACCESS.REFUSED/.test(text) && /Handshake|login/i.test(text))
    return `${at} refuses the login of user '${user}'`;
  if (/NOT_ALLOWED|access to vhost|vhost .* not found/i.test(text)) {
    return `${at} has no vhost '${vhost}' that user '${user}' may enter`;
  }
  switch (errorCode(error)) {
    case "ECONNREFUSED":
      return `nothing listens at ${at} (connection refused)`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name ${host} cannot be resolved`;
    case "ETIMEDOUT":
      return `${at} does not answer`;
    case "ECONNRESET":
      return `${at} reset the connection (is it the AMQP port, with TLS on both sides or on neither?)`;
    default:
      return `${at}: ${text}`;
  }
}
