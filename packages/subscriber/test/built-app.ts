import { onTestFinished } from "vitest";
import { type AppOptions, buildApp } from "../src/http/app.ts";

/** The HTTP side of a subscriber of which all is well, closed with the test. */
export function builtApp(options: Pick<AppOptions, "currentVerdict" | "now"> & Partial<AppOptions>) {
  const app = buildApp({
    unreadyReasons: async () => [],
    isBrokerConnected: () => true,
    rejectedCounts: () => new Map(),
    version: "1.2.3",
    expectedSites: [],
    ...options,
  });
  onTestFinished(() => app.close());
  return app;
}
