// A worker in a process of its own, which a test can stop by SIGSTOP: URL, queue, what it does, after how long.
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "amqplib";

const [url = "", queue = "", does = "ack", afterMs = "0", prefetch = "1"] = process.argv.slice(2);

const connection = await connect(url);
const channel = await connection.createChannel();
await channel.prefetch(Number(prefetch));
await channel.consume(queue, (message) => void handle(message));
process.send?.("attached");

async function handle(message: Parameters<Parameters<typeof channel.consume>[1]>[0]): Promise<void> {
  if (!message || does === "hold") return;
  await sleep(Number(afterMs));
  if (does === "ack") channel.ack(message);
  else channel.nack(message, false, does === "requeue");
}
