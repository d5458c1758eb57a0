import type { RequestId } from '../../engine/orders/order';
import type { Logger } from '../../platform/logger';
import type { ProblemOptions, ProblemType } from './problems';

export type ErrorLog = ReturnType<typeof createErrorLog>;

/** Reports what was done to one client to protect the others. */
export type ReportPressure = ErrorLog['report'];

/** For what checks credentials: who is turned away is no fault of the gateway. */
export interface AuthLog extends ErrorLog {
  readonly reportTurnedAway: ErrorLog['report'];
}

/** While a dependency is down, thousands of requests a second fail in the same way; one line says as much. */
const LINE_INTERVAL_MS = 1_000;

/** Logs failures of dependencies, what protects the gateway, or who was turned away, at most one line a second for each kind. */
export function createErrorLog(logger: Logger, onError: (what: string) => void) {
  const lines = new Map<string, { loggedAt: number; suppressed: number }>();
  return {
    /** `what` is a fixed sentence: it names the kind of failure, in the log and as a label of the metrics. */
    report: (
      what: string,
      error: unknown,
      fields: Readonly<Record<string, unknown>> = {},
    ): void => {
      onError(what);
      const line = lines.get(what) ?? { loggedAt: -Infinity, suppressed: 0 };
      lines.set(what, line);
      const now = performance.now();
      if (now - line.loggedAt < LINE_INTERVAL_MS) {
        line.suppressed += 1;
        return;
      }
      logger.warn({ err: error, ...fields, suppressed: line.suppressed }, what);
      line.loggedAt = now;
      line.suppressed = 0;
    },
  };
}

/** An error for which the handler knows the problem to respond with. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly problem: ProblemType;
  readonly options: ProblemOptions;

  constructor(
    message: string,
    {
      problem,
      cause,
      ...options
    }: ProblemOptions & { readonly problem: ProblemType; readonly cause?: unknown },
  ) {
    super(message, { cause });
    this.problem = problem;
    this.options = options;
  }
}

/** The result of a query to the archive. A failed one becomes a RequestError that is responded to with 503. */
export function readFromArchive<T>(read: Promise<T>, requestId?: RequestId): Promise<T> {
  return read.catch((cause: unknown) => {
    const message = 'The archive gave no answer';
    throw new RequestError(message, { problem: 'not-accepted', requestId, cause });
  });
}

/** The result of a read from Redis. A failed read becomes a RequestError that is responded to with 503. */
export function readFromRedis<T>(read: Promise<T>, requestId?: RequestId): Promise<T> {
  return read.catch((cause: unknown) => {
    throw new RequestError('Redis gave no answer', { problem: 'not-accepted', requestId, cause });
  });
}
