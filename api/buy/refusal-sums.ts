import type { RefusalSum } from '../../engine/archive/refusals';
import type { ItemId } from '../../engine/orders/order';
import type { ProblemType } from '../http/problems';

/** Of these a shop wants to know after its sale; others are faults of clients or of the engine, and in the metrics. */
const REASONS: ReadonlySet<string> = new Set<ProblemType>([
  'sold-out',
  'purchase-limit',
  'sale-not-open',
  'sale-over',
  'rate-limited',
  'selling-stopped',
]);

/** Sums that wait for the archive: several minutes of a hundred items. Later the oldest are given up. */
const WAITING_MAX = 50_000;

/** An attacker can name many items; those that do not exist are never refused for one of the reasons. */
const ITEMS_MAX = 10_000;

/** Counts refused purchases by item, reason and second. `now`: ms since the epoch. */
export function createRefusalSums(now: () => number = Date.now) {
  let second = 0;
  let current = new Map<ItemId, Map<string, number>>();
  let waiting: RefusalSum[] = [];
  let givenUp = 0;

  const close = () => {
    for (const [itemId, reasons] of current) {
      for (const [reason, requests] of reasons) {
        waiting.push({ itemId, reason, second, requests });
      }
    }
    current = new Map();
    const over = waiting.length - WAITING_MAX;
    if (over <= 0) return;
    waiting = waiting.slice(over);
    givenUp += over;
  };

  return {
    count: (itemId: ItemId, problem: string | undefined): void => {
      if (problem === undefined || !REASONS.has(problem)) return;
      const at = Math.floor(now() / 1_000);
      if (at !== second) {
        close();
        second = at;
      }
      let reasons = current.get(itemId);
      if (!reasons) {
        if (current.size >= ITEMS_MAX) return;
        current.set(itemId, (reasons = new Map<string, number>()));
      }
      reasons.set(problem, (reasons.get(problem) ?? 0) + 1);
    },
    /**
     * Hands the sums of all complete seconds to `write`, with `all` also those of this second; they are kept for the next
     * call when it fails. Throws what `write` throws.
     */
    flush: async (
      write: (sums: readonly RefusalSum[]) => Promise<void>,
      { all = false }: { readonly all?: boolean } = {},
    ): Promise<void> => {
      if (all || Math.floor(now() / 1_000) !== second) close();
      const sums = waiting;
      if (sums.length === 0) return;
      await write(sums);
      waiting = waiting.slice(waiting.indexOf(sums.at(-1) as RefusalSum) + 1);
    },
    /** Sums that were given up while the archive was away. */
    get givenUp() {
      return givenUp;
    },
  };
}
