// Bundles each service into one self-contained file, packages/<name>/dist/main.js.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Puts the text of a neighbouring file in the place where the source reads it: a bundle has no neighbours. */
const inlineTextFiles: Plugin = {
  name: "inline-text-files",
  setup({ onLoad }) {
    const read = /readFileSync\(new URL\("(\.[^"]+)", import\.meta\.url\), "utf8"\)/g;
    onLoad({ filter: /packages[\\/][a-z]+[\\/]src[\\/].*\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(read, (_, neighbour: string) =>
        JSON.stringify(readFileSync(resolve(dirname(path), neighbour), "utf8")),
      ),
      loader: "ts",
    }));
  },
};

/** CommonJS packages ask for Node's modules with require, which a module does not have of itself. */
const BANNER = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

for (const name of process.argv.length > 2 ? process.argv.slice(2) : ["publisher", "subscriber"]) {
  const outfile = `packages/${name}/dist/main.js`;
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [`packages/${name}/src/main.ts`],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    legalComments: "none",
    banner: { js: BANNER },
    plugins: [inlineTextFiles],
    logLevel: "warning",
    metafile: true,
  });
  console.log(`${outfile}: ${Math.round((metafile.outputs[outfile]?.bytes ?? 0) / 1024)} KiB`);
}
