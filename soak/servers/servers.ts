import { engineAnswers } from "../../test/brokers/container-engine.ts";
import type { Say } from "../../test/brokers/progress.ts";
import { containerServers } from "./containers.ts";
import { localServers } from "./local.ts";
import type { Servers } from "./server.ts";

/** A RabbitMQ and a Redis that nobody else uses: in containers when an engine answers, else the machine's own programs. */
export async function startServers(say: Say, signal: AbortSignal): Promise<Servers> {
  const forced = process.env["TEST_BROKERS"];
  const inContainers = forced ? forced === "containers" : await engineAnswers(process.env);
  return await (inContainers ? containerServers(say, signal) : localServers(say, signal));
}
