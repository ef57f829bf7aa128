import "@pipeline-heartbeat/shared/early-signals.ts";
import v8 from "node:v8";
import { runProgram } from "@pipeline-heartbeat/shared/command-line.ts";
import { healthcheckCommand } from "@pipeline-heartbeat/shared/healthcheck.ts";
import packageJson from "../package.json" with { type: "json" };
import { checkConfigCommand } from "./commands/check-config.ts";
import { makeKeyCommand } from "./commands/make-key.ts";
import { printHeartbeatCommand } from "./commands/print-heartbeat.ts";
import { printConfigCommand } from "./commands/print-config.ts";
import { probeCommand } from "./commands/probe.ts";
import { publisherHttp } from "./config.ts";
import { runPublisher } from "./run.ts";

// Most of the time there is nothing to do: without these the heap grows for a speed that nobody needs. The compiler of
// middling code takes 7 MB of memory; what is really hot, as a long tag pattern, still gets the optimising one.
v8.setFlagsFromString("--optimize-for-size");
v8.setFlagsFromString("--no-maglev");

const { env } = process;

// Names are looked up on these threads, and one that hangs cannot be cancelled: with the usual four, a few dead names would
// keep all others waiting. Read when the first one starts.
env["UV_THREADPOOL_SIZE"] ??= "64";

await runProgram(
  {
    name: packageJson.name,
    version: packageJson.version,
    summary: "looks at every component inside and publishes heartbeats over RabbitMQ",
    serve: () => runPublisher(env, packageJson.version),
    commands: {
      "check-config": checkConfigCommand(env),
      probe: probeCommand(env),
      "print-heartbeat": printHeartbeatCommand(env),
      "print-config": printConfigCommand(env),
      "make-key": makeKeyCommand(env),
      healthcheck: healthcheckCommand(env, publisherHttp),
    },
    variables: {
      RABBITMQ_HOST:
        "the broker (localhost), or several with commas; with RABBITMQ_PORT, _TLS, _USER, _PASS, _VHOST",
      RABBITMQ_EXCHANGE: "where heartbeats are published (my_topic_exchange)",
      RABBITMQ_ROUTING_KEY: "the key they are published with (service.heartbeat)",
      PUBLISHER_CONFIG_PATH: "what is watched (/publisher_config.json)",
      PUBLISH_INTERVAL: "seconds between two heartbeats (60)",
      PROBE_INTERVAL: "seconds between two looks at each component (10)",
      HEARTBEAT_SITE: "the site's name in its heartbeats (default)",
      HEARTBEAT_FORMAT: "1: exactly upstream's message; 2: with this project's additions (2)",
      HEARTBEAT_SIGNING_KEY:
        "signs them: an Ed25519 key, PKCS#8 PEM; with HEARTBEAT_SIGNING_KEY_ID (default)",
      HTTP_PORT:
        "where /livez, /readyz and /metrics are answered (8081), 0: nowhere; with HTTP_HOST (127.0.0.1)",
      LOG_LEVEL: "trace, debug, info, warn, error, fatal, silent (info)",
    },
  },
  process.argv.slice(2),
);
