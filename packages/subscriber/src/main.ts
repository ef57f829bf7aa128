import "@pipeline-heartbeat/shared/early-signals.ts";
import { runProgram } from "@pipeline-heartbeat/shared/command-line.ts";
import { healthcheckCommand } from "@pipeline-heartbeat/shared/healthcheck.ts";
import packageJson from "../package.json" with { type: "json" };
import { cleanReaderKeys } from "./commands/clean-reader-keys.ts";
import { forgetSite } from "./commands/forget-site.ts";
import { subscriberHttp } from "./config.ts";
import { runSubscriber } from "./run.ts";

const { env } = process;

// Names are looked up on these threads, and one that hangs cannot be cancelled: with the usual four, one dead name of a
// broker would keep the others, and Redis, waiting. Read when the first one starts.
env["UV_THREADPOOL_SIZE"] ??= "16";

await runProgram(
  {
    name: packageJson.name,
    version: packageJson.version,
    summary: "takes in the heartbeats outside, keeps the state in Redis and answers /health",
    serve: () => runSubscriber(env, packageJson.version),
    commands: {
      "forget-site": forgetSite(env),
      "clean-reader-keys": cleanReaderKeys(env),
      healthcheck: healthcheckCommand(env, subscriberHttp, Boolean(env["HTTP_TLS_CERT_PATH"])),
    },
    variables: {
      RABBITMQ_HOST:
        "the broker (localhost), or several with commas; with RABBITMQ_PORT, _TLS, _USER, _PASS, _VHOST",
      RABBITMQ_QUEUE: "the queue that is consumed (my_queue)",
      REDIS_HOST: "the store (redis); with REDIS_PORT, _DB, _USERNAME, _PASSWORD, _TLS",
      REDIS_SENTINELS: "in its place; with REDIS_SENTINEL_NAME; or REDIS_CLUSTER_NODES",
      HTTP_PORT: "where /health is answered (8080); with HTTP_HOST (0.0.0.0)",
      HTTP_TLS_CERT_PATH: "with HTTP_TLS_KEY_PATH: by HTTPS",
      API_TOKEN: "a secret without which only the status code of /health is told; or API_TOKEN_FILE",
      HEARTBEAT_VERIFY_KEYS: "id@site=key,…: heartbeats must be signed by one of them; REQUIRE_SIGNATURE",
      EXPECTED_SITES: "names with commas: while one was never heard, /health fails",
      SILENCE_FACTOR: "a site is silent when its news is older than this times its interval (2.5)",
      LOG_LEVEL: "trace, debug, info, warn, error, fatal, silent (info)",
    },
  },
  process.argv.slice(2),
);
