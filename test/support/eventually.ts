import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 50;

/**
 * Asks again until the answer is neither undefined nor false, and returns it. A thrown error counts as "not yet".
 * Throws `what` with the last error after `withinMs`.
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
