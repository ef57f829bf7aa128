import { addressText } from "./address.ts";
import type { BrokerSettings } from "./broker-config.ts";
import { explainedConnectionProblem } from "./connection-problem.ts";
import { errorText } from "./error-text.ts";

/** What keeps us from the broker, in one line for the operator, without secrets. */
export async function brokerProblem(error: unknown, settings: BrokerSettings): Promise<string> {
  const { host, amqpPort, user, vhost, tls } = settings;
  const at = addressText({ host, port: amqpPort });
  const text = errorText(error);
  if (/^Handshake terminated.*ACCESS.REFUSED/s.test(text)) return `${at} refuses the login of user '${user}'`;
  // amqplib drops the broker's own words when it is refused this late.
  if (/Expected ConnectionOpenOk; got <ConnectionClose/.test(text)) {
    return `${at} refuses vhost '${vhost}' to user '${user}' (does it exist, may the user enter, is a limit reached?)`;
  }
  const words = /\d{3} \([A-Z-]+\) with message "(.*)"/s.exec(text)?.[1];
  if (words !== undefined) return `${at}: ${words}`;
  return await explainedConnectionProblem(error, { host, port: amqpPort, tls });
}
