import { PlainFault } from './user-error';
import { setTimeout as sleep } from 'node:timers/promises';

/** Between two tries: short against the second or two that a component needs, long against one try. */
const EVERY_MS = 100;

/**
 * Tries again until `attempt` succeeds. A PlainFault ends it at once: trying again does not mend it. Throws `what` with the last fault as cause after `withinMs`, and the
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
      if (error instanceof PlainFault) throw error;
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

/** A fault and what caused it, in one line: "not ready within 60 s: connect ECONNREFUSED 127.0.0.1:6379". */
export function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Several addresses of one name that all refuse are told as one fault without a message of its own.
  const message = error instanceof AggregateError ? String(error.errors[0]) : error.message;
  return error.cause === undefined ? message : `${message}: ${describeFault(error.cause)}`;
}
