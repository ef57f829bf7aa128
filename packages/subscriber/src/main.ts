import "@pipeline-heartbeat/shared/early-signals.ts";
import { runProgram } from "@pipeline-heartbeat/shared/command-line.ts";
import { healthcheckCommand } from "@pipeline-heartbeat/shared/healthcheck.ts";
import packageJson from "../package.json" with { type: "json" };
import { cleanReaderKeys } from "./commands/clean-reader-keys.ts";
import { forgetSite } from "./commands/forget-site.ts";
import { subscriberHttp } from "./config.ts";
import { runSubscriber } from "./run.ts";

const { env } = process;

await runProgram(
  {
    name: packageJson.name,
    version: packageJson.version,
    summary: "takes in the heartbeats outside, keeps the state in Redis and answers /health",
    serve: () => runSubscriber(env, packageJson.version),
    commands: {
      "forget-site": forgetSite(env),
      "clean-reader-keys": cleanReaderKeys(env),
      healthcheck: healthcheckCommand(env, subscriberHttp),
    },
    variables: {
      RABBITMQ_HOST: "the broker (localhost); with RABBITMQ_PORT, _TLS, _USER, _PASS, _VHOST",
      RABBITMQ_QUEUE: "the queue that is consumed (my_queue)",
      REDIS_HOST: "the store (redis); with REDIS_PORT, _DB, _USERNAME, _PASSWORD, _TLS",
      REDIS_SENTINELS: "in its place; with REDIS_SENTINEL_NAME; or REDIS_CLUSTER_NODES",
      HTTP_PORT: "where /health is answered (8080); with HTTP_HOST (0.0.0.0)",
      HEARTBEAT_VERIFY_KEYS: "id@site=key,…: heartbeats must be signed by one of them; REQUIRE_SIGNATURE",
      EXPECTED_SITES: "names with commas: while one was never heard, /health fails",
      SILENCE_FACTOR: "a site is silent when its news is older than this times its interval (2.5)",
      LOG_LEVEL: "trace, debug, info, warn, error, fatal, silent (info)",
    },
  },
  process.argv.slice(2),
);
