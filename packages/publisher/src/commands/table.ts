import { printable } from "@pipeline-heartbeat/shared/printable.ts";

/** Lines with the cells of a column one below the other. A column in which only the head has something is left out. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable));
  const [head = [], ...body] = cells;
  const widths = head.map((_, column) =>
    body.some((row) => row[column] !== "") ? Math.max(...cells.map((row) => widthOf(row[column]))) : 0,
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => ({ cell, width: widths[column] ?? 0 }))
      .filter(({ width }) => width > 0)
      .map(({ cell, width }) => cell + " ".repeat(width - widthOf(cell)))
      .join("  ")
      .trimEnd();
  return cells.map((row) => `${line(row)}\n`).join("");
}

/** In letters, as far as each takes one place. */
function widthOf(cell = ""): number {
  return Array.from(cell).length;
}
