import type * as z from "zod";
import { ManagementError, type ManagementQuestions } from "./management.ts";

/** What a plugin adds to the management API; only a user with the monitoring tag is answered. */
export async function pluginAnswer<Schema extends z.ZodType>(
  management: ManagementQuestions,
  path: string,
  schema: Schema,
  plugin: string,
  signal: AbortSignal,
): Promise<z.output<Schema>> {
  const answer = await explained(management, signal, management.get(path, schema, signal));
  if (answer !== undefined) return answer;
  throw new ManagementError("plugin_missing", `the broker lacks the plugin ${plugin}`);
}

/** Rejects as `answer` does, except that a user who is refused only there lacks the tag. */
export async function explained<Answer>(
  management: ManagementQuestions,
  signal: AbortSignal,
  answer: Promise<Answer>,
): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof ManagementError) || error.reason !== "management_refused") throw error;
    // That it rejects as well is the more telling of the two: nobody is let in.
    if (await management.seesAllConsumers(signal)) throw error;
    throw new ManagementError("monitoring_tag_missing", "the broker's user lacks the tag monitoring");
  }
}
