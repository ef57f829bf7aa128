import { describe, expect, test } from "vitest";
import { temporaryFile } from "../../test/processes.ts";
import { startService, stopped } from "./service-container.ts";

const TARGETS = JSON.stringify({ heartbeat: { hosts: [{ host: "db", port: 5432 }] } });
/** Names that are asked of a name server that does not answer (RFC 5737): how to look one up cannot be cancelled. */
const NOBODY_THERE = { RABBITMQ_HOST: "mq", REDIS_HOST: "redis" };
const MUTE_NAME_SERVER = "198.51.100.1";

describe.each(["publisher", "subscriber"] as const)(
  "as the first process of its container the %s",
  (service) => {
    test.each(["SIGTERM", "SIGINT"] as const)(
      "ends on %s with 0 within five seconds, as soon as it has started, also when no name is answered",
      async (signal) => {
        const mounts = { "/publisher_config.json": temporaryFile("publisher_config.json", TARGETS) };
        const options = { env: NOBODY_THERE, mounts, nameServer: MUTE_NAME_SERVER };
        const container = await startService(service, options);
        expect(await stopped(container, signal)).toEqual({ exitCode: 0, inTime: true });
      },
    );
  },
);
