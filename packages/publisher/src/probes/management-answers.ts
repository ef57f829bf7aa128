import * as z from "zod";

export interface QueueConsumer {
  readonly queue: string;
  readonly tag: string;
  readonly activity: string;
}

const consumerSchema = z
  .object({
    queue: z.object({ name: z.string() }),
    consumer_tag: z.string(),
    /** Absent before RabbitMQ 3.8. */
    activity_status: z.string().default("unknown"),
  })
  .transform(({ queue, consumer_tag: tag, activity_status: activity }): QueueConsumer => {
    return { queue: queue.name, tag, activity };
  });

export const consumersSchema = z.array(consumerSchema);
export const queueNamesSchema = z.array(z.object({ name: z.string() }).transform(({ name }) => name));
/** With its statistics switched off the API leaves the consumers out, and answers 200. */
export const queueSchema = z.object({ name: z.string(), consumer_details: consumersSchema.optional() });
export const notFoundSchema = z.object({ error: z.string(), reason: z.literal("Not Found") });

/** RabbitMQ before 3.9 gave the tags as one text with commas. */
export const whoamiSchema = z.object({
  tags: z.union([z.array(z.string()), z.string().transform((text) => text.split(","))]),
});
