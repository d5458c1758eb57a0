import type { ItemId } from '../../engine/orders/order';
import { createRecent } from '../../platform/recent';

/**
 * How old a cached sold-out may be. Units that come back are on sale again after this time, and a crowd of 10,000 requests
 * a second reads the ledger five times a second.
 */
export const SOLD_OUT_MS = 200;

/** More items than are ever sold out at once; beyond it the oldest are dropped. */
const ITEMS_MAX = 1_000;

/** The ledger had fewer free units than `units`. */
interface SoldOut {
  readonly units: number;
  readonly final: boolean;
  /** When the ledger was asked, on the clock of `now`: its reply may have taken long. */
  readonly askedAt: number;
}

export type SoldOutCache = ReturnType<typeof createSoldOutCache>;

/** Remembers for `keepMs` which items have no free unit; 0 turns it off. `now` is in milliseconds. */
export function createSoldOutCache(keepMs: number, now = () => performance.now()) {
  const items = createRecent<ItemId, SoldOut>(ITEMS_MAX);
  return {
    set: (itemId: ItemId, soldOut: SoldOut): void => {
      const known = items.get(itemId);
      // Replies may overtake each other; the later request has the fresher one.
      if (known && known.askedAt > soldOut.askedAt) return;
      items.set(itemId, soldOut);
    },
    /** What the ledger said to a request for as many units or fewer. */
    get: (itemId: ItemId, units: number): { readonly final: boolean } | undefined => {
      const known = items.get(itemId);
      if (!known || units < known.units) return undefined;
      if (now() - known.askedAt < keepMs) return { final: known.final };
      items.delete(itemId);
      return undefined;
    },
  };
}
