/** Deadlines that all lie the same time ahead, so that their order of expiry is their order of birth. */
export interface Deadlines {
  /** Calls `expire` once the time has passed, up to one sweep late. Returns what cancels it. */
  readonly start: (expire: () => void) => () => void;
}

/** A sweep every 1/20 of the length: an answer 5 % late harms nobody, and the sweeps cost nothing. */
const SWEEPS_PER_LENGTH = 20;

/**
 * One timer for thousands of deadlines of `lengthMs`. It runs only while one is open, looks at the oldest first
 * and stops at the first that has time left. It does not keep the process alive.
 */
export function createDeadlines(lengthMs: number): Deadlines {
  const open = new Set<{ readonly at: number; readonly expire: () => void }>();
  let timer: NodeJS.Timeout | undefined;

  const sweep = () => {
    const now = performance.now();
    for (const deadline of open) {
      if (deadline.at > now) break;
      open.delete(deadline);
      deadline.expire();
    }
    if (open.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };

  return {
    start: (expire) => {
      const deadline = { at: performance.now() + lengthMs, expire };
      open.add(deadline);
      timer ??= setInterval(sweep, Math.max(1, lengthMs / SWEEPS_PER_LENGTH)).unref();
      return () => open.delete(deadline);
    },
  };
}
