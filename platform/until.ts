import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from './user-error';

/** Between two tries: short against the second or two that a component needs, long against one try. */
const EVERY_MS = 100;

/**
 * Tries again until `attempt` succeeds. A UserError ends it at once: trying again does not mend it. Throws `what` with the last fault as cause after `withinMs`, and the
 * signal's reason as soon as it is aborted. An attempt must be bounded in time by itself.
 */
export async function until<T>(
  what: string,
  attempt: () => Promise<T>,
  { withinMs, signal }: { withinMs: number; signal: AbortSignal },
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof UserError) throw error;
      if (Date.now() > deadline) {
        throw new Error(`${what} within ${Math.round(withinMs / 1000)} s`, { cause: error });
      }
    }
    await sleep(EVERY_MS, undefined, { signal });
  }
}

/** Rejects when `work` takes longer than `ms`; the work itself is not stopped, and its late fault has no reader. */
export async function atMost<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const timeout = sleep(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`${what} took longer than ${ms} ms`);
  });
  void Promise.allSettled([work, timeout]);
  try {
    return await Promise.race([work, timeout]);
  } finally {
    late.abort();
  }
}
