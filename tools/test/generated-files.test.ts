import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { probeKinds } from "../../packages/publisher/src/file-schema.ts";
import { generatedFiles } from "../generated-files.ts";

test("what is published is what is made from the code now (npm run generate)", () => {
  for (const { path, text } of generatedFiles())
    expect([path, readFileSync(path, "utf8")]).toEqual([path, text]);
});

test("operators find each kind of probe, each option and each value", () => {
  const guide = readFileSync(new URL("../../docs/probes.md", import.meta.url), "utf8");
  for (const [name, { options, values }] of probeKinds) {
    const [, section = ""] = guide.split(`\n### ${name}\n`);
    const [own = ""] = section.split("\n### ");
    const wanted = [...Object.keys(options.shape), ...Object.keys(values)];
    expect([name, wanted.filter((word) => !own.includes(`\`${word}\``))]).toEqual([name, []]);
  }
});
