import Table from 'cli-table3';
import { paint, plain, type Colour, type Terminal } from './terminal';

/** A cell's text may come from anywhere: it is made plain here, before it gets its colour. */
export type Cell = string | number | { readonly text: string; readonly colour: Colour };

/** A table as text, with a line end. Without `head` it is a list of names and values. */
export function table(
  terminal: Pick<Terminal, 'colour'>,
  rows: readonly (readonly Cell[])[],
  head?: readonly string[],
): string {
  const drawn = new Table({
    ...(head && { head: head.map((text) => paint(terminal, 'bold', text)) }),
    // Its own colours would also go into files and pipes.
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) drawn.push(row.map((cell) => draw(terminal, cell)));
  return `${drawn.toString()}\n`;
}

function draw(terminal: Pick<Terminal, 'colour'>, cell: Cell): string {
  if (typeof cell === 'object') return paint(terminal, cell.colour, plain(cell.text));
  return plain(String(cell));
}

/** `text`, or its beginning with an ellipsis where it is longer than `lengthMax` characters. */
export function shorten(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1)}…`;
}
