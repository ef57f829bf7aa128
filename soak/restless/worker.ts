// A worker of the restless pipeline: worker.ts AMQP_URL QUEUE NAME. It connects at once, and consumes when it is told to.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from "amqplib";
import type { Order, Report } from "./worker-process.ts";

const REDIAL_MS = 300;
const PREFETCH = 20;

const [, , url = "", queue = "", name = ""] = process.argv;
let connection: ChannelModel | undefined;
let channel: Channel | undefined;
let isToConsume = false;
let isStopping = false;
/** One after the other, as most workers work. */
let working = Promise.resolve();

process.on("message", (order: Order) => {
  isToConsume = true;
  void (order === "reopen" ? reopen() : consume()).catch(lost);
});
process.once("disconnect", () => process.exit(0)); // the soak has ended
process.once("SIGTERM", () => {
  isStopping = true;
  const closed = connection?.close().catch(() => {}); // it may be gone already
  void Promise.resolve(closed).then(() => process.exit(0));
});

for (;;) {
  await dial().catch(() => {}); // the broker is away
  await sleep(REDIAL_MS);
}

/** Resolves when the connection is lost. */
async function dial(): Promise<void> {
  const dialled = await connect(url, { timeout: 5_000 });
  const closed = new Promise<void>((resolve) => dialled.once("close", () => resolve()));
  dialled.on("error", () => {}); // told by the close
  connection = dialled;
  report("connected");
  if (isToConsume) await consume().catch(lost);
  await closed;
  connection = undefined;
  channel = undefined;
}

async function consume(): Promise<void> {
  if (!connection) return;
  const opened = await connection.createChannel();
  opened.on("error", () => {}); // told by the consumer's end
  await opened.prefetch(PREFETCH);
  // As the programs of a real node have them, with another end each time.
  const consumerTag = `ctag-/app/${name}-${randomBytes(3).toString("hex")}`;
  await opened.consume(queue, (message) => message && take(opened, message), { consumerTag });
  channel = opened;
  report("consuming");
}

async function reopen(): Promise<void> {
  await channel?.close();
  await consume();
}

function take(from: Channel, message: ConsumeMessage): void {
  working = working.then(() => work(from, message));
}

async function work(from: Channel, message: ConsumeMessage): Promise<void> {
  // Once begun it goes faster: otherwise it would take longer with each redeployment.
  const workMs: unknown = message.fields.redelivered ? 0 : message.properties.headers?.["work-ms"];
  if (typeof workMs === "number" && workMs > 0) await sleep(workMs);
  try {
    from.ack(message);
  } catch {
    // Its channel is closed: somebody gets it again.
  }
}

/** Whatever has failed, a new connection mends it. */
function lost(): void {
  if (!isStopping) connection?.close().catch(() => {}); // it is gone already
}

function report(what: Report): void {
  if (process.connected) process.send?.(what);
}
