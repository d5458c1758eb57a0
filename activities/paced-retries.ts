/** At its ninth attempt a step that is retried until it succeeds is about a minute apart (`workflows/steps.ts`). */
const ATTEMPTS_BEFORE = 9;
const DELAY_MS_MIN = 60_000;
const DELAY_MS_MAX = 600_000;
/** An attempt costs its worker and the server about half of what an order costs (decision 9). */
const SPACING_MS = 200;

/**
 * Spreads the retries of parked orders: a process makes no more than five a second, so that up to 300 orders are tried once
 * a minute, and more of them less often, down to once in ten minutes.
 *
 * Returns the delay in ms after the given attempt of a step; undefined while the step has its own short delays.
 */
export function createPacedRetries(now: () => number = () => performance.now()) {
  let latest = -Infinity;
  return (attempt: number): number | undefined => {
    if (attempt < ATTEMPTS_BEFORE) return undefined;
    const at = now();
    latest = Math.min(Math.max(latest + SPACING_MS, at + DELAY_MS_MIN), at + DELAY_MS_MAX);
    return latest - at;
  };
}
