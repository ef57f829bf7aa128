import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Series, with what they are worth at each minute in Prometheus's notation: `1x9 0x10`. */
export type Series = Readonly<Record<string, string>>;

export interface Firing {
  readonly alertname: string;
  readonly [label: string]: string;
}

export const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
if (!hasPromtool) console.warn("without promtool the alerts are read, but not tried");

/** What promtool says against the rules; empty when they are in order. */
export function ruleProblems(groups: unknown): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "rules.yaml"), JSON.stringify({ groups }));
  return promtool(folder, "check", "rules", "rules.yaml");
}

/** What promtool says when other alerts than these fire at that minute, or one of them more than once. */
export function firingProblems(
  groups: unknown,
  series: Series,
  minute: number,
  firing: readonly Firing[],
): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "rules.yaml"), JSON.stringify({ groups }));
  const samples = firing.map((labels) => ({ labels: selectorOf(labels), value: 1 }));
  const scenario = {
    interval: "1m",
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: `count by (alertname, namespace, site, kind, component) (ALERTS{alertstate="firing"})`,
        eval_time: `${minute}m`,
        exp_samples: samples,
      },
    ],
  };
  const file = { rule_files: ["rules.yaml"], evaluation_interval: "30s", tests: [scenario] };
  writeFileSync(join(folder, "scenario.yaml"), JSON.stringify(file));
  return promtool(folder, "test", "rules", "scenario.yaml");
}

function selectorOf(labels: Firing): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(",")}}`;
}

function promtool(folder: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("promtool", args, { cwd: folder, encoding: "utf8" });
  return status === 0 ? "" : `${stdout}${stderr}`;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "promtool-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}
