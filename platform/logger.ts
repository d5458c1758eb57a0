import { pino, type Logger } from 'pino';
import type { LogLevel } from './config';

export type { Logger };

/** A JSON logger on standard output; `name` is the process. */
export function createLogger(name: string, level: LogLevel): Logger {
  return pino({
    name,
    level,
    // The host name and pid are the supervisor's business and cost bytes on every line.
    base: { name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
