import { parseArgs } from "node:util";
import { addressText } from "@pipeline-heartbeat/shared/address.ts";
import type { Command } from "@pipeline-heartbeat/shared/command-line.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { printableJson } from "@pipeline-heartbeat/shared/printable.ts";
import * as z from "zod";
import {
  type Config,
  configOf,
  readVariables,
  SECRET_VARIABLES,
  VARIABLE_NAMES,
  type Variables,
} from "../config.ts";
import { componentKey } from "../dependencies.ts";
import { type InForce, inForce } from "../in-force.ts";
import { parseJsonText } from "../json-text.ts";
import { kindOf } from "../parse-file.ts";
import type { Policy } from "../policy.ts";
import { MASK, masked } from "./masked.ts";

/** Prints all that is in force in this environment, with secrets masked. Durations are in seconds. */
export function printConfigCommand(env: Env): Command {
  return {
    usage: "",
    summary: "prints what is in force, from the environment and publisher_config.json, without secrets",
    async run(args) {
      parseArgs({ args: [...args] });
      const { warnings, ...shown } = shownConfig(env);
      for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
      process.stdout.write(`${printableJson(JSON.stringify(shown, undefined, 2))}\n`);
      return 0;
    },
  };
}

/** @throws {ConfigError} as readConfig */
export function shownConfig(env: Env) {
  const variables = readVariables(env);
  const config = configOf(variables);
  return {
    environment: environment(env, variables, config),
    file: { path: config.targetsPath, components: components(config) },
    warnings: config.warnings,
  };
}

interface ShownVariable {
  readonly value: string | number | boolean | null;
  readonly from: "environment" | "file" | "default";
}

function environment(env: Env, variables: Variables, config: Config): Record<string, ShownVariable> {
  const values: Readonly<Record<string, ShownVariable["value"] | undefined>> = valuesOf(variables, config);
  const shown = VARIABLE_NAMES.map((name): [string, ShownVariable] => {
    const value = values[name];
    const from = sourceOf(env, name);
    if (!SECRET_VARIABLES.includes(name)) return [name, { value: value ?? null, from }];
    return [name, { value: from === "default" ? "(not set)" : MASK, from }];
  });
  return Object.fromEntries(shown);
}

/** Where one is not set, what counts in its place, or undefined where that is nothing; undefined for secrets, too. */
function valuesOf(
  variables: Variables,
  { topology, broker, management, bufferHeartbeats, targetsPath, basePolicy }: Config,
): Record<keyof Variables, ShownVariable["value"] | undefined> {
  const hosts = variables.RABBITMQ_HOST.map(({ host, port }) =>
    port === undefined ? host : addressText({ host, port }),
  );
  return {
    ...variables,
    RABBITMQ_HOST: hosts.join(","),
    RABBITMQ_CA_CERT_PATH: variables.RABBITMQ_CA_CERT_PATH?.path,
    RABBITMQ_CLIENT_CERT_PATH: variables.RABBITMQ_CLIENT_CERT_PATH?.path,
    RABBITMQ_CLIENT_KEY_PATH: variables.RABBITMQ_CLIENT_KEY_PATH?.path,
    RABBITMQ_PASS: undefined,
    RABBITMQ_ROUTING_KEY: topology.routingKey,
    RABBITMQ_MANAGEMENT_URL: [...new Set(broker.map((address) => management(address).url))].join(","),
    HEARTBEAT_MODE: "publisher",
    HEARTBEAT_SIGNING_KEY: undefined,
    BUFFER_HEARTBEATS: bufferHeartbeats,
    PUBLISH_INTERVAL: seconds(variables.PUBLISH_INTERVAL),
    PUBLISHER_CONFIG_PATH: targetsPath,
    PROBE_INTERVAL: seconds(basePolicy.intervalMs),
    PROBE_TIMEOUT: seconds(variables.PROBE_TIMEOUT),
  };
}

/** Variables that are there and empty are not set, but for the routing key, where that stands for the queue's name. */
function sourceOf(env: Env, name: string): ShownVariable["from"] {
  if (SECRET_VARIABLES.includes(name) && env[`${name}_FILE`] !== undefined) return "file";
  if (env[name] === undefined) return "default";
  return env[name] !== "" || name === "RABBITMQ_ROUTING_KEY" ? "environment" : "default";
}

function components({ targets, targetsText, basePolicy }: Config) {
  const written = componentsIn(targetsText);
  const firstWritten = targets.components.length - written.length;
  return inForce(targets, basePolicy).map((component, index) => ({
    kind: component.kind,
    name: component.name,
    probe: component.probe,
    options: masked(optionsOf(component, written[index - firstWritten])),
    policy: policyInSeconds(component.policy),
  }));
}

const fileSchema = z.object({
  heartbeat: z.object({ components: z.array(z.record(z.string(), z.unknown())).default([]) }),
});

/** As they are written: parsed options may be in other units, or be of a form that cannot be printed. */
function componentsIn(text: string): Record<string, unknown>[] {
  const json = parseJsonText(text);
  return json.ok ? fileSchema.parse(json.value).heartbeat.components : [];
}

/** `written` is undefined for what is no component of the file's list of them. */
function optionsOf({ probe, options }: InForce, written: Record<string, unknown> | undefined): object {
  if (!written) return options;
  const shown = Object.entries<z.ZodType>(kindOf(probe).options.shape).map(([name, schema]) => [
    name,
    name in written ? written[name] : asWritten(schema, options[name]),
  ]);
  return Object.fromEntries(shown);
}

/** A default as the file would say it: what is parsed from seconds is in milliseconds. */
function asWritten(schema: z.ZodType, value: unknown): unknown {
  if (typeof value !== "number") return value;
  const parsed = schema.safeParse(value / 1000);
  return parsed.success && parsed.data === value ? value / 1000 : value;
}

function policyInSeconds(policy: Policy) {
  const { intervalMs, timeoutMs, splayMs, confirm, recover, flapping = false, severity, dependsOn } = policy;
  return {
    interval: seconds(intervalMs),
    timeout: seconds(timeoutMs),
    splay: seconds(splayMs),
    confirm: { looks: confirm.looks, pause: seconds(confirm.pauseMs) },
    recover,
    flapping,
    severity,
    dependsOn: dependsOn.map(componentKey),
  };
}

function seconds(ms: number): number {
  return ms / 1000;
}
