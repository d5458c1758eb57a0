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
