import type { Logger } from '../../platform/logger';

/** Says what went wrong without a human's fault, at most once a second each. */
export interface FaultLog {
  readonly report: (
    what: string,
    error: unknown,
    fields?: Readonly<Record<string, unknown>>,
  ) => void;
}

/** With a dependency down, thousands of requests fail in the same way each second; one line says it as well. */
const LINE_INTERVAL_MS = 1_000;

/** `what` is a fixed sentence: it names the fault, and its repetitions are counted under it. */
export function createFaultLog(logger: Logger, onFault?: (what: string) => void): FaultLog {
  const lines = new Map<string, { loggedAt: number; suppressed: number }>();
  return {
    report: (what, error, fields = {}) => {
      onFault?.(what);
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
