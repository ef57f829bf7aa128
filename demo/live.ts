import { setTimeout as sleep } from "node:timers/promises";
import { printable } from "../packages/shared/src/printable.ts";
import { askHealth, type Health } from "./health.ts";
import type { Part } from "./parts.ts";

const POLL_MS = 250;
const KEYS = "abcdefghijklmnop";
const CLEAR = "\u001B[H\u001B[2J";
const COLOURS: Readonly<Record<string, string>> = {
  up: "\u001B[32m",
  down: "\u001B[31m",
  unknown: "\u001B[33m",
};
const PLAIN = "\u001B[0m";

export interface Live {
  readonly url: string;
  /** What can be stopped and started, each by a key. */
  readonly parts: readonly Part[];
  /** Other addresses worth knowing, a line each. */
  readonly hints: readonly string[];
}

/** Shows the components until the signal is aborted: a table on a terminal, otherwise a line for each change. */
export async function showLive(live: Live, signal: AbortSignal, interrupt: () => void): Promise<void> {
  const isTable = process.stdout.isTTY && process.stdin.isTTY;
  if (!isTable) {
    const hints = [`health: ${live.url}`, ...live.hints, "stop with Ctrl-C or SIGTERM"];
    for (const line of hints) console.log(line);
  }
  const release = isTable ? readKeys(live.parts, interrupt) : () => {};
  let before = new Map<string, string>();
  try {
    while (!signal.aborted) {
      const health = await askHealth(live.url);
      if (isTable) process.stdout.write(CLEAR + table(live, health));
      else before = printChanges(before, health);
      await sleep(POLL_MS, undefined, { signal }).catch(() => {}); // the loop ends
    }
  } finally {
    release();
  }
}

function readKeys(parts: readonly Part[], interrupt: () => void): () => void {
  const { stdin } = process;
  stdin.setRawMode(true);
  const onKey = (key: Buffer) => {
    const text = key.toString();
    // In raw mode the terminal sends Ctrl-C as a character.
    if (text === "\u0003" || text === "q") interrupt();
    const part = parts[KEYS.indexOf(text)];
    if (part && text.length === 1) void (part.isRunning ? part.stop() : part.start()).catch(() => {}); // shown as it is
  };
  stdin.on("data", onKey);
  return () => {
    stdin.off("data", onKey);
    stdin.setRawMode(false);
    stdin.pause();
  };
}

function table({ url, parts, hints }: Live, health: Health | undefined): string {
  const code = health ? `${health.code} ${health.status}` : "no answer";
  const components = health?.sites.flatMap((site) => site.components) ?? [];
  const rows = components.map(({ kind, name, state, since, reason }) => {
    const clock = new Date(since).toLocaleTimeString("en-GB");
    const coloured = `${COLOURS[state] ?? ""}${state.padEnd(8)}${PLAIN}`;
    const component = `${kind.padEnd(8)} ${printable(name).padEnd(16)}`;
    return `  ${component} ${coloured} since ${clock}  ${printable(reason ?? "")}`;
  });
  const keys = parts.map(
    ({ name, isRunning }, index) => `  [${KEYS[index]}] ${isRunning ? "stop " : "start"} ${name}`,
  );
  const problems = health?.problems.map((problem) => `  ${printable(problem)}`) ?? [];
  const sections = [
    [`pipeline-heartbeat   ${url} answers ${code}`],
    rows,
    problems,
    columns(keys, 3),
    [...hints, "[q] or Ctrl-C ends it all"],
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

function columns(cells: readonly string[], perLine: number): string[] {
  const width = Math.max(...cells.map((cell) => cell.length)) + 2;
  const lines = Map.groupBy(cells, (cell) => Math.floor(cells.indexOf(cell) / perLine));
  return [...lines.values()].map((line) => line.map((cell) => cell.padEnd(width)).join(""));
}

function printChanges(before: ReadonlyMap<string, string>, health: Health | undefined): Map<string, string> {
  const states = new Map([["/health", health ? `${health.code} ${health.status}` : "no answer"]]);
  for (const { site, state, components } of health?.sites ?? []) {
    states.set(`site ${site}`, state);
    for (const component of components) {
      const reason = component.reason ? ` (${component.reason})` : "";
      states.set(`${component.kind} ${component.name}`, component.state + reason);
    }
  }
  const time = new Date().toISOString();
  for (const [what, state] of states)
    if (before.get(what) !== state) console.log(`${time}  ${printable(`${what}: ${state}`)}`);
  for (const what of before.keys())
    if (!states.has(what) && health) console.log(`${time}  ${printable(what)}: no longer reported`);
  // While nobody answers the last states stand.
  return health ? states : new Map([...before, ...states]);
}
