import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';

/** Enough for a stack trace; a terminal is no log viewer. */
const LINES_MAX = 12;
const BYTES_MAX = 64 * 1024;

/** A log larger than this is put aside when the stack starts; one older is kept. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;

/** How many bytes a log has now; 0 when there is none. */
export function logSize(file: string): number {
  return existsSync(file) ? statSync(file).size : 0;
}

/** Keeps a log from growing for ever over many starts: `name.log` becomes `name.log.1`. */
export function rotateLog(file: string): void {
  if (logSize(file) > LOG_BYTES_MAX) renameSync(file, `${file}.1`);
}

/**
 * What a process that has ended wrote last, ready to be appended to a sentence: its own warnings and errors where
 * the log is JSON lines, else simply the last lines. `from`: the log's size when the process started.
 */
export function lastWords(file: string, from: number): string {
  const lines = tail(file, from)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const entries = lines.map(parseEntry);
  const said = entries.some((entry) => entry !== undefined)
    ? entries.flatMap((entry, at) => (entry ? complaint(entry) : (lines[at] ?? [])))
    : lines;
  const last = said.slice(-LINES_MAX).map((line) => `\n    ${line}`);
  return `${last.join('')}\n    (log: ${file})`;
}

/** What of our own log lines is read here. */
interface LogEntry {
  readonly level?: string;
  readonly msg?: string;
  readonly err?: { readonly message?: string } | string;
}

const LOUD = ['warn', 'error', 'fatal'];

function complaint({ level, msg, err }: LogEntry): string | [] {
  if (level === undefined || !LOUD.includes(level)) return [];
  const why = typeof err === 'object' ? err.message : err;
  return [`${level}: ${msg ?? ''}`, ...(why === undefined ? [] : [why])].join(': ');
}

function parseEntry(line: string): LogEntry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as LogEntry;
  } catch (error) {
    // The first line of the tail may be cut in half; such a line is shown as it is.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function tail(file: string, from: number): string {
  if (!existsSync(file)) return '';
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(from, size - BYTES_MAX);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    readSync(fd, buffer, 0, buffer.length, start);
    return buffer.toString('utf8');
  } finally {
    closeSync(fd);
  }
}
