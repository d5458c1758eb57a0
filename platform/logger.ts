import { pino, type Logger } from 'pino';
import type { LogLevel } from './config';

export type { Logger };

/** A JSON logger on standard output; `name` is the process. */
export function createLogger(name: string, level: LogLevel): Logger {
  return pino({
    name,
    level,
    // Without host name and pid, which the supervisor knows and which would cost bytes on every line.
    base: { name },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: serializeError },
    formatters: { level: (label) => ({ level: label }) },
  });
}

/** An absent system repeats its error with each attempt to reach it. */
const REPEAT_AFTER_MS = 60_000;
const LINES_KNOWN_MAX = 1_000;

/** Says whether a line is to be logged: the same one only once a minute. */
export function createRepeatFilter(): (line: string) => boolean {
  const loggedAt = new Map<string, number>();
  return (line) => {
    const now = performance.now();
    if (now - (loggedAt.get(line) ?? -Infinity) < REPEAT_AFTER_MS) return false;
    if (loggedAt.size >= LINES_KNOWN_MAX) loggedAt.clear();
    loggedAt.set(line, now);
    return true;
  };
}

/** Prints only these fields: clients attach whole commands, scripts and credentials to their errors. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? error.code : undefined;
  return {
    name,
    message,
    code,
    stack,
    cause: cause === undefined ? undefined : serializeError(cause),
  };
}
