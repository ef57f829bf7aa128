import { managementHeaders, managementUrl, type RabbitmqAddress } from "../../test/brokers/addresses.ts";
import type { ThirdParty } from "../third-party.ts";
import { DEAD_LETTERS, FEDERATED, QUEUES, SHOVELLED } from "./queues.ts";

/** Makes all that the pipeline has on its broker. */
export async function makeBrokerObjects(address: RabbitmqAddress, third: ThirdParty): Promise<void> {
  await third.withChannel(async (channel) => {
    for (const { name, type } of QUEUES) {
      await channel.assertQueue(name, { durable: true, arguments: { "x-queue-type": type } });
    }
    for (const name of [DEAD_LETTERS, SHOVELLED.from, SHOVELLED.to]) await channel.assertQueue(name);
    await channel.assertExchange(FEDERATED.exchange, "topic", { durable: true });
  });
  // The broker connects with itself: an address without a host.
  const protocols = { "src-protocol": "amqp091", "dest-protocol": "amqp091" };
  const ends = { "src-uri": "amqp://", "src-queue": SHOVELLED.from, "dest-uri": "amqp://" };
  const shovel = { ...protocols, ...ends, "dest-queue": SHOVELLED.to };
  await change(address, "PUT", `parameters/shovel/%2F/${SHOVELLED.name}`, { value: shovel });

  const everything = { configure: ".*", write: ".*", read: ".*" };
  await change(address, "PUT", `vhosts/${FEDERATED.vhost}`, {});
  await change(address, "PUT", `permissions/${FEDERATED.vhost}/${address.user}`, everything);
  await change(address, "PUT", `parameters/federation-upstream/%2F/${FEDERATED.upstream}`, {
    value: { uri: `amqp:///${FEDERATED.vhost}`, "reconnect-delay": 1 },
  });
  await change(address, "PUT", "policies/%2F/federated", {
    pattern: `^${FEDERATED.exchange}$`,
    "apply-to": "exchanges",
    definition: { "federation-upstream": FEDERATED.upstream },
  });
}

/** Closes the connections whose name begins so, as an administrator may. False when there is none (yet). */
export async function closeConnections(address: RabbitmqAddress, name: string): Promise<boolean> {
  const response = await fetch(managementUrl(address, "connections"), {
    headers: managementHeaders(address),
  });
  const listed: { name: string; client_properties?: { connection_name?: string } }[] = JSON.parse(
    await response.text(),
  );
  const found = listed.filter(({ client_properties: of }) => of?.connection_name?.startsWith(name));
  for (const connection of found) {
    await change(address, "DELETE", `connections/${encodeURIComponent(connection.name)}`);
  }
  return found.length > 0;
}

async function change(address: RabbitmqAddress, method: string, path: string, body?: object): Promise<void> {
  const response = await fetch(managementUrl(address, path), {
    method,
    headers: managementHeaders(address),
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
}
