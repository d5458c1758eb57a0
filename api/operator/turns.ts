/** How many operators may wait for their turn; who comes later is told to come back. */
const WAITING_MAX = 4;

/** Runs one piece of work after the other; undefined for one that had to wait behind too many. */
export type Turns = <T>(work: () => Promise<T>) => Promise<T | undefined>;

/**
 * What reads a whole topic runs one at a time, so that however many operators there are, the purchases beside them
 * never share the process with more than one such reading.
 */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  let open = 0;
  return async (work) => {
    if (open > WAITING_MAX) return undefined;
    open += 1;
    const turn = last.then(work);
    // The next one waits for the end, whatever it is; its failure is told to whoever has asked for it.
    last = turn.catch(() => undefined);
    return turn.finally(() => {
      open -= 1;
    });
  };
}
