import type { ItemId } from '../../../engine/orders/order';

/**
 * How old an answer from memory may be: units that come back are on sale again within this time, and a crowd of
 * 10,000 requests a second asks the ledger five times a second instead.
 */
export const SOLD_OUT_MS = 200;

/** More items than are ever sold out at once; beyond it the oldest are forgotten. */
const ITEMS_MAX = 1_000;

/** What the ledger said a moment ago: fewer free units than `units`. */
interface Remembered {
  readonly units: number;
  readonly final: boolean;
  /** When the ledger was asked; its answer may have been on the way for long. */
  readonly askedAt: number;
}

/** Knows for a moment which items have no free unit. */
export interface SoldOutMemory {
  /** The ledger was asked for `units` at `askedAt` (of the same clock as `now`) and has not that many. */
  readonly note: (
    itemId: ItemId,
    refusal: { readonly units: number; readonly final: boolean; readonly askedAt: number },
  ) => void;
  /** What the ledger said to a request for as many units or fewer, at most SOLD_OUT_MS ago. */
  readonly recall: (itemId: ItemId, units: number) => { readonly final: boolean } | undefined;
}

/** `now` tells milliseconds; a `keepMs` of 0 remembers nothing. */
export function createSoldOutMemory({
  keepMs,
  now = () => performance.now(),
}: {
  readonly keepMs: number;
  readonly now?: () => number;
}): SoldOutMemory {
  const remembered = new Map<ItemId, Remembered>();
  return {
    note: (itemId, refusal) => {
      const known = remembered.get(itemId);
      // Answers may overtake each other; the later question has the fresher one.
      if (known && known.askedAt > refusal.askedAt) return;
      remembered.delete(itemId);
      remembered.set(itemId, refusal);
      const [oldest] = remembered.keys();
      if (remembered.size > ITEMS_MAX && oldest !== undefined) remembered.delete(oldest);
    },
    recall: (itemId, units) => {
      const known = remembered.get(itemId);
      if (!known || units < known.units) return undefined;
      if (now() - known.askedAt < keepMs) return { final: known.final };
      remembered.delete(itemId);
      return undefined;
    },
  };
}
