import * as z from "zod";

const healthSchema = z.object({
  status: z.string(),
  problems: z.array(z.string()),
  warnings: z.array(z.string()),
  sites: z.array(
    z.object({
      site: z.string(),
      state: z.string(),
      cause: z.string().optional(),
      deadline: z.string(),
      components: z.array(
        z.object({
          kind: z.string(),
          name: z.string(),
          state: z.string(),
          since: z.string(),
          reason: z.string().optional(),
        }),
      ),
    }),
  ),
});

/** What /health answers, with the status code. */
export type Health = z.output<typeof healthSchema> & { readonly code: number };

/** Asks /health; undefined while nobody answers there. */
export async function askHealth(url: string): Promise<Health | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(3_000) });
    return { code: response.status, ...healthSchema.parse(await response.json()) };
  } catch {
    return undefined; // not listening yet, or no longer
  }
}
