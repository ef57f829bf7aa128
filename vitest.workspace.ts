import { configDefaults, defineConfig } from "vitest/config";
import { engineAnswers } from "./test/brokers/container-engine.ts";

const { TEST_BROKERS } = process.env;

/** Of the images as they are shipped. Without an engine there is no such project, and `--project containers` an error. */
const containers = {
  test: {
    name: "containers",
    include: ["docker/test/**/*.test.ts"],
    globalSetup: ["docker/test/build-images.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
};

const hasEngine =
  TEST_BROKERS === "containers" || (TEST_BROKERS !== "local" && (await engineAnswers(process.env)));
if (!hasEngine) console.warn("without a container engine the images are neither built nor tested");

/** Of the helpers in test/; all else there needs servers. */
const helperTests = ["test/proxy.test.ts"];

/** Unit tests run anywhere; integration tests get a real RabbitMQ and a real Redis from test/global-setup.ts. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["{packages/*,kubernetes,soak,tools}/test/**/*.test.ts", ...helperTests],
          exclude: [...configDefaults.exclude, "**/*.integration.test.ts"],
        },
      },
      {
        test: {
          name: "integration",
          include: ["packages/*/test/**/*.integration.test.ts", "test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...helperTests],
          globalSetup: ["test/global-setup.ts"],
          // Some of them measure how long the services take, on as little as two cores.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      ...(hasEngine ? [containers] : []),
    ],
  },
});
