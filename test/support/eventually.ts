import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 50;

/**
 * Calls `ask` until its result is neither undefined nor false, and returns the result. A thrown error counts as "not yet".
 * After `withinMs` it throws `what` with the last error as its cause.
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`, { cause });
    await sleep(EVERY_MS);
  }
}
