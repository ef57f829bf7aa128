/** One line of Prometheus's text format, its labels as they were before they were escaped. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Reads the text format as Prometheus does; throws at a line that is none of its own. */
export function samplesOf(text: string): Sample[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("# "));
  return lines.map((line) => {
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
    if (name === undefined) throw new Error(`no sample: ${line}`);
    const pairs = [...labels.matchAll(LABEL)].map(([, label = "", escaped = ""]) => [
      label,
      escaped.replace(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character)),
    ]);
    return { name, labels: Object.fromEntries(pairs), value: Number(value) };
  });
}

const SAMPLE = /^([a-z_]+)(?:\{((?:[a-z_]+="(?:\\[\\"n]|[^\\"])*",?)+)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:\\.|[^\\"])*)"/g;
