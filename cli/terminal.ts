import Table from 'cli-table3';
import { minorDigits } from '../engine/orders/sale';

/** Where a command writes. */
export interface Terminal {
  /** Standard output: results; with --json only the document. */
  readonly out: (text: string) => void;
  /** The same for a result that does not fit into memory: each part when the one before is written. */
  readonly stream: (parts: AsyncIterable<string>) => Promise<void>;
  /** Standard error: errors and progress. */
  readonly err: (text: string) => void;
  readonly colour: boolean;
}

/** 0: yes, 1: no, 2: wrong usage, or a part of the engine does not answer. */
export type ExitCode = 0 | 1 | 2;

/** Characters that control a terminal or hide text: control, formatting and line-separating ones. */
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text from elsewhere, with every control character escaped. */
export function plain(text: string): string {
  return text.replace(CONTROL, visible);
}

/** The same for text of several lines: line ends stay. */
export function plainLines(text: string): string {
  return text.split('\n').map(plain).join('\n');
}

function visible(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}

const COLOURS = { bold: 1, red: 31, green: 32, yellow: 33, grey: 90 } as const;
export type Colour = keyof typeof COLOURS;

/** `text` in a colour where the terminal has colours. The text must be plain already. */
export function paint(terminal: Pick<Terminal, 'colour'>, colour: Colour, text: string): string {
  return terminal.colour ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;
}

/** Prints one JSON document. Control characters are escaped, as JSON allows. */
export function printJson(terminal: Terminal, value: unknown): void {
  const text = JSON.stringify(value, undefined, 2);
  terminal.out(`${text.replace(CONTROL, (c) => (c === '\n' ? c : escapeUnits(c)))}\n`);
}

/** Prints the document with --json, otherwise the text. */
export function printResult(
  terminal: Terminal,
  { json }: { readonly json?: boolean | undefined },
  document: unknown,
  text: string,
): void {
  if (json) printJson(terminal, document);
  else terminal.out(text);
}

/** On standard error: also beside a document. */
export function printWarnings(
  terminal: Terminal,
  { warnings }: { readonly warnings: readonly string[] },
): void {
  for (const warning of warnings) terminal.err(`${plain(warning)}\n`);
}

export function unknownText(terminal: Terminal, sentence: string): string {
  return `${paint(terminal, 'red', 'unknown')}  ${plain(sentence)}\n`;
}

/** JSON escapes UTF-16 units: a character beyond the first plane takes two escapes. */
function escapeUnits(character: string): string {
  return [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('');
}

/** A cell's text may come from anywhere: `table` makes it plain before it gets its colour. */
export type Cell = string | number | { readonly text: string; readonly colour: Colour };

/** A table as text, with a line end. Without `head` it is a list of names and values. */
export function table(
  terminal: Pick<Terminal, 'colour'>,
  rows: readonly (readonly Cell[])[],
  head?: readonly string[],
): string {
  const drawn = new Table({
    ...(head && { head: head.map((text) => paint(terminal, 'bold', text)) }),
    // The library's own colours would also go into files and pipes.
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

/** An amount in minor units as text: 1000 and USD are "10.00 USD", 1000 and JPY are "1000 JPY". */
export function money(minor: number, currency: string): string {
  // A sale may hold any text as its currency. A text that is no currency is shown with the bare number.
  if (!/^[A-Z]{3}$/.test(currency)) return `${minor} ${currency}`;
  const digits = minorDigits(currency);
  return `${(minor / 10 ** digits).toFixed(digits)} ${currency}`;
}
