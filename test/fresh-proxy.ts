import { onTestFinished } from "vitest";
import { type Proxy, startProxy } from "./proxy.ts";

/** A proxy that is closed when the test is finished. */
export async function freshProxy(...options: Parameters<typeof startProxy>): Promise<Proxy> {
  const proxy = await startProxy(...options);
  onTestFinished(() => proxy.close());
  return proxy;
}
