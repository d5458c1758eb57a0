/** Where a command writes. Exit codes and texts are all that the outside sees of it. */
export interface Terminal {
  /** Standard output: answers, and with --json nothing but the document. */
  readonly out: (text: string) => void;
  /** Standard error: faults. */
  readonly err: (text: string) => void;
  readonly colour: boolean;
}

/** 0: yes, 1: a negative answer, 2: wrong usage or nobody to ask. */
export type ExitCode = 0 | 1 | 2;

/** Characters that steer a terminal or hide what stands there: control, formatting and line-separating ones. */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text from elsewhere, with every character that a terminal would obey made visible. */
export function plain(text: string): string {
  return text.replace(STEERING, visible);
}

/** The same for text of several lines: their ends stay. */
export function plainLines(text: string): string {
  return text.split('\n').map(plain).join('\n');
}

function visible(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}

const COLOURS = { bold: 1, red: 31, green: 32, yellow: 33, grey: 90 } as const;
export type Colour = keyof typeof COLOURS;

/** `text` in a colour where the terminal has any. The text must be plain already. */
export function paint(terminal: Pick<Terminal, 'colour'>, colour: Colour, text: string): string {
  return terminal.colour ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;
}

/** One JSON document on standard output. Characters above ASCII that steer terminals are escaped, as JSON allows. */
export function printJson(terminal: Terminal, value: unknown): void {
  const text = JSON.stringify(value, undefined, 2);
  terminal.out(`${text.replace(STEERING, (c) => (c === '\n' ? c : escapeUnits(c)))}\n`);
}

/** JSON knows only UTF-16 units: a character beyond the first plane takes two escapes. */
function escapeUnits(character: string): string {
  return [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('');
}
