import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from './user-error';

/** Pause between two attempts. A component takes a second or two to start, and one attempt takes milliseconds. */
const RETRY_MS = 100;

/**
 * Repeats `attempt` until it succeeds. Throws a UserError at once, since repeating does not mend it; throws `what` with
 * the last error as cause after `withinMs`; throws the signal's reason when it is aborted. An attempt must have a time
 * limit of its own.
 */
export async function until<T>(
  what: string,
  attempt: () => Promise<T>,
  {
    withinMs,
    signal,
    retryMs = RETRY_MS,
  }: { readonly withinMs: number; readonly signal: AbortSignal; readonly retryMs?: number },
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
    await sleep(retryMs, undefined, { signal });
  }
}

/** The result of the promise, or an error that names `what` once it takes longer than `msMax`. The work goes on. */
export async function within<T>(work: Promise<T>, msMax: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} has taken more than ${msMax} ms`));
    }, msMax);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The result of the promise, or the signal's reason when it is aborted first. The work behind the promise goes on. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener(
      'abort',
      () => {
        reject(signal.reason as Error);
      },
      { signal: over.signal },
    );
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    over.abort();
  }
}

/** Calls `look`, which never rejects, every `everyMs` and when it is asked to, but never twice at a time. */
export function lookEvery(everyMs: number, look: () => Promise<void>) {
  let looking: Promise<void> | undefined;
  const lookOnce = (): Promise<void> => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  };
  const timer = setInterval(() => void lookOnce(), everyMs).unref();
  return {
    /** Resolves once the look that is under way, or else a new one, has ended. */
    lookOnce,
    /** Resolves once a look that began after this call has ended. */
    refresh: async (): Promise<void> => {
      await looking;
      await lookOnce();
    },
    stop: (): void => {
      clearInterval(timer);
    },
  };
}

/** Whether an error only says that another part asked to stop. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
