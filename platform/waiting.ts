import type { ReadyReport } from './health-server';
import type { Logger } from './logger';
import { until, untilAborted } from './until';
import { describeError } from './user-error';

/** Processes and their systems are often started together: a shorter absence is nobody's business. */
const TELL_AFTER_MS = 2_000;
/** A process that waits for hours must cost next to nothing. */
const RETRY_MS = 500;

export type Waiting = ReturnType<typeof createWaiting>;

/**
 * What a process waits for at its start, for as long as it takes: a new process would find the same systems away. Each
 * absence is one log line, and one more when it is over.
 */
export function createWaiting(logger: Logger, stopping: AbortSignal) {
  /** By what was ever waited for; undefined once it has answered. */
  const reasons = new Map<string, string | undefined>();

  async function waitFor<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    const startedAt = Date.now();
    const absence = { isTold: false };
    reasons.set(what, 'no answer yet');
    const telling = setTimeout(() => {
      absence.isTold = true;
      logger.warn({ reason: reasons.get(what) }, `waiting for ${what}`);
    }, TELL_AFTER_MS);
    const attempts = until(
      what,
      () =>
        attempt().catch((error: unknown) => {
          reasons.set(what, describeError(error));
          throw error;
        }),
      { withinMs: Infinity, signal: stopping, retryMs: RETRY_MS },
    );
    try {
      const result = await untilAborted(attempts, stopping);
      reasons.set(what, undefined);
      if (absence.isTold) logger.info({ waitedMs: Date.now() - startedAt }, `waited for ${what}`);
      return result;
    } catch (error) {
      if (stopping.aborted) return await new Promise<never>(() => undefined);
      throw error;
    } finally {
      clearTimeout(telling);
    }
  }

  return {
    /**
     * Repeats `attempt`, one at a time, until it succeeds. Throws a UserError of an attempt: repeating does not mend it.
     * Never settles once the shutdown has begun, which ends the process. An attempt must be bounded in time.
     */
    waitFor,
    /** Not ready, and why, for a process that begins its work after all of them. */
    report: (): ReadyReport => {
      const entries = [...reasons];
      return {
        ready: false,
        dependencies: Object.fromEntries(entries.map(([what, reason]) => [what, !reason])),
        waiting_for: Object.fromEntries(
          entries.flatMap(([what, reason]) => (reason ? [[what, reason]] : [])),
        ),
      };
    },
  };
}
