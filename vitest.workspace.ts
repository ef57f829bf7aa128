import { defineConfig } from "vitest/config";

/** Unit tests run anywhere; integration tests get a real RabbitMQ and a real Redis from test/global-setup.ts. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: ["**/*.integration.test.ts"],
        },
      },
      {
        test: {
          name: "integration",
          include: ["packages/*/test/**/*.integration.test.ts", "test/**/*.test.ts"],
          globalSetup: ["test/global-setup.ts"],
          // Some of them measure how long the services take, on as little as two cores.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
