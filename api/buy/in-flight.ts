/** Counts what is under way, up to a bound, and tells when nothing is. */
export interface InFlight {
  readonly count: () => number;
  readonly isFull: () => boolean;
  /** False, and not counted, when full. Who got true must call `leave` once. */
  readonly enter: () => boolean;
  readonly leave: () => void;
  /** Resolves with true once nothing is under way, with false when that took longer than `boundMs`. */
  readonly whenEmpty: (boundMs: number) => Promise<boolean>;
}

/** `max` may be Infinity, for what is bounded elsewhere. */
export function createInFlight(max: number): InFlight {
  let count = 0;
  const waiters = new Set<() => void>();
  const isFull = () => count >= max;

  return {
    count: () => count,
    isFull,
    enter: () => {
      if (isFull()) return false;
      count += 1;
      return true;
    },
    leave: () => {
      count -= 1;
      if (count > 0) return;
      for (const wake of waiters) wake();
    },
    whenEmpty: (boundMs) => {
      if (count === 0) return Promise.resolve(true);
      return new Promise((resolve) => {
        const finish = (isEmpty: boolean) => {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve(isEmpty);
        };
        const wake = () => {
          finish(true);
        };
        const timer = setTimeout(finish, boundMs, false);
        waiters.add(wake);
      });
    },
  };
}
