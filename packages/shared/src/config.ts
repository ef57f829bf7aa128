import { readFileSync } from "node:fs";
import * as z from "zod";

/** sysexits.h: EX_CONFIG, the exit code for a ConfigError. */
export const EXIT_CONFIG = 78;

export type Env = Readonly<Record<string, string | undefined>>;

/** Wrong configuration: a mistake of whoever deploys, never a bug. Carries every problem, no value, no stack trace. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(what: string, problems: readonly string[]) {
    super([`${what}:`, ...problems.map((problem) => `  ${problem}`)].join("\n"));
  }
}

export interface ConfigOptions {
  /** Variables that may also come as NAME_FILE, the path of a file that holds the value. */
  readonly secrets: readonly string[];
  /** What no single variable can tell, such as two that exclude each other. Returns problems. */
  readonly checks: readonly ((env: Env) => string | undefined)[];
}

/**
 * The environment as one object.
 * @throws {ConfigError} naming every bad variable at once, so that a deployment is mended in one round.
 */
export function parseConfig<Schema extends z.ZodType>(
  schema: Schema,
  environment: Env,
  { secrets, checks }: ConfigOptions,
): z.output<Schema> {
  const { env, problems } = readSecretFiles(environment, secrets);
  const parsed = schema.safeParse(env);
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`));
  }
  problems.push(...checks.map((check) => check(env)).filter((problem) => problem !== undefined));
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new ConfigError("configuration error", problems);
}

function readSecretFiles(environment: Env, secrets: readonly string[]): { env: Env; problems: string[] } {
  const env: Record<string, string | undefined> = { ...environment };
  const problems: string[] = [];
  for (const name of secrets) {
    const path = environment[`${name}_FILE`];
    if (path === "") {
      problems.push(`${name}_FILE: is empty; expected the path of a file`);
    } else if (path !== undefined && environment[name] !== undefined) {
      problems.push(`${name}: set together with ${name}_FILE; keep one of the two`);
    } else if (path !== undefined) {
      const file = readTextFile(path);
      if (!file.ok) problems.push(`${name}_FILE: ${file.problem}`);
      else if (file.text.replace(/\r?\n$/, "") === "") problems.push(`${name}_FILE: ${path} is empty`);
      else env[name] = file.text.replace(/\r?\n$/, "");
    }
    if (environment[name] === "") {
      problems.push(`${name}: is empty; a secret must not be`);
      env[name] = undefined;
    }
  }
  return { env, problems };
}

export type TextFile =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: string };

/** A whole file as text. A problem names the path and, where it is a matter of permissions, the user who tried. */
export function readTextFile(path: string): TextFile {
  try {
    return { ok: true, text: readFileSync(path, "utf8") };
  } catch (error) {
    return { ok: false, problem: `${path} ${readProblem(error)}` };
  }
}

function readProblem(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOENT":
      return "does not exist";
    case "EISDIR":
      return "is a directory, not a file";
    case "EACCES":
    case "EPERM":
      return `cannot be read by user id ${process.geteuid?.() ?? "(unknown)"}: permission denied`;
    default:
      return `cannot be read (${String(code)})`;
  }
}

/** A variable that `parse` turns into a value; undefined from `parse` means that the text is not `expected`. */
export function variable<T, F = T>(expected: string, parse: (text: string) => T | undefined, fallback: F) {
  return z
    .string()
    .optional()
    .transform((text, context): T | F => {
      if (text === undefined) return fallback;
      const value = parse(text);
      if (value !== undefined) return value;
      context.addIssue(`${misfit(text)}expected ${expected}`);
      return z.NEVER;
    });
}

function misfit(text: string): string {
  if (text === "") return "is empty; ";
  if (/^(tcp|udp):\/\//.test(text)) {
    return "holds a Kubernetes service link (a Service of that name sets it; use enableServiceLinks: false); ";
  }
  return "";
}

/** Any text that is not empty. */
export function text<F extends string | undefined>(fallback: F) {
  return variable("some text", (value) => (value === "" ? undefined : value), fallback);
}

/** A text without a default, for which an empty variable counts as none: what `${NAME:-}` in a compose file gives. */
export function optionalText() {
  return z
    .string()
    .optional()
    .transform((value) => (value === "" ? undefined : value));
}

export function port<F extends number | undefined>(fallback: F, { least = 1 } = {}) {
  return variable(`a port, ${least} to 65535`, (value) => wholeNumber(value, least, 65_535), fallback);
}

export function count(fallback: number, least: number, most: number) {
  return variable(
    `a whole number from ${least} to ${most}`,
    (value) => wholeNumber(value, least, most),
    fallback,
  );
}

/** A decimal number, possibly a fraction. */
export function decimal<F extends number | undefined>(fallback: F, least: number, most: number) {
  return variable(`a number from ${least} to ${most}`, (value) => number(value, least, most), fallback);
}

/** A duration in seconds, possibly a fraction; the value is in milliseconds. */
export function seconds<F extends number | undefined>(fallbackMs: F, least: number, most: number) {
  return variable(
    `a number of seconds from ${least} to ${most}`,
    (value) => {
      const found = number(value, least, most);
      return found === undefined ? undefined : Math.round(found * 1000);
    },
    fallbackMs,
  );
}

/** `true` or `false`, in any case; empty counts as not set. */
export function flag(fallback: boolean) {
  return variable(
    "true or false",
    (value) => {
      if (value === "") return fallback;
      const lower = value.toLowerCase();
      return lower === "true" || lower === "false" ? lower === "true" : undefined;
    },
    fallback,
  );
}

export function oneOf<const T extends string, F extends T | undefined>(values: readonly T[], fallback: F) {
  return variable(values.join(" | "), (value) => values.find((one) => one === value), fallback);
}

function wholeNumber(text: string, least: number, most: number): number | undefined {
  return /^\d{1,15}$/.test(text) ? within(Number(text), least, most) : undefined;
}

function number(text: string, least: number, most: number): number | undefined {
  return /^\d{1,15}(\.\d{1,9})?$/.test(text) ? within(Number(text), least, most) : undefined;
}

function within(value: number, least: number, most: number): number | undefined {
  return least <= value && value <= most ? value : undefined;
}
