import { performance } from 'node:perf_hooks';
import type { ItemId } from '../engine/orders/order';
import type { Logger } from '../platform/logger';
import { describeError } from '../platform/user-error';

export type OpenOrders = ReturnType<typeof createOpenOrders>;

/**
 * Of `max`, what is kept for items that have few open orders: without it such an item waits until the orders of a hot one
 * are done. The same part of that is what one item may take of it.
 */
const HEADROOM = 0.1;

/**
 * Keeps the number of orders under way near `max`, so that a burst drains steadily through the worker's cache, and lets
 * no item fill it. Counts what the server says, plus what this process started since, less what its own order worker
 * has sold since, and asks the server only while orders are started. The bound is approximate: the server's count lags, and
 * other processes are only seen through it.
 */
export function createOpenOrders(options: {
  readonly max: number;
  /** Asks the server. The result may be a second or more old. */
  readonly countOpen: () => Promise<number>;
  readonly logger: Logger;
  /** How long a count stays valid, in ms. A second of starts is few against any sensible bound. */
  readonly countEveryMs?: number;
  /** In ms, and never back: an hour's step of the wall clock would stop the counting for an hour. */
  readonly now?: () => number;
}) {
  const { max, countOpen, logger, countEveryMs = 1_000, now = () => performance.now() } = options;
  const headroom = Math.floor(max * HEADROOM);
  const fewMax = Math.max(1, Math.floor(headroom * HEADROOM));
  const perItem = createShares();
  /** Undefined before the first count. */
  let counted: number | undefined;
  let askedAt = -Infinity;
  let counting = false;
  /** Started since the last count was asked for, less those sold here: below 0 when these were counted. */
  let openedSince = 0;
  /** Admitted, and not known yet whether they became workflows. */
  let entering = 0;
  const estimate = () => Math.max(0, (counted ?? 0) + openedSince) + entering;

  /** Until it succeeds again the estimate only grows, so a server that cannot count stops ingest at the bound. */
  async function count(): Promise<void> {
    counting = true;
    askedAt = now();
    const openedBefore = openedSince;
    try {
      counted = await countOpen();
      openedSince -= openedBefore;
      perItem.shrinkTo(estimate());
    } catch (error) {
      logger.warn({ error: describeError(error) }, 'open orders cannot be counted');
    } finally {
      counting = false;
    }
  }

  return {
    /** Takes a place for an order of the item if there is one. */
    enter: (itemId: ItemId): boolean => {
      if (!counting && now() - askedAt >= countEveryMs) void count();
      if (counted === undefined || estimate() >= max) return false;
      if (estimate() >= max - headroom && perItem.get(itemId) >= fewMax) return false;
      entering++;
      perItem.add(itemId, 1);
      return true;
    },
    /** Ends what `enter` began. `opened`: a workflow was started. */
    leave: (itemId: ItemId, opened: boolean): void => {
      entering--;
      if (opened) openedSince++;
      else perItem.add(itemId, -1);
    },
    /** The order worker of this process has sold an order of the item, whichever process started it. */
    sold: (itemId: ItemId): void => {
      // Those of other processes may be more than this one knows of: the bound must hold until they are counted again.
      openedSince = Math.max(openedSince - 1, -(counted ?? 0) - entering);
      perItem.add(itemId, -1);
    },
    /** Orders under way, as far as this process knows. */
    get estimate() {
      return estimate();
    },
  };
}

/** Less than half an order is none. */
const SHARE_MIN = 0.5;

/**
 * About how many open orders each item has. The server does not count by item, so the orders that this process has
 * started are cut down, all items alike, to as many as are open: an item that starts none sinks as others start.
 */
function createShares() {
  const shares = new Map<ItemId, number>();
  const get = (itemId: ItemId) => shares.get(itemId) ?? 0;
  const set = (itemId: ItemId, share: number) => {
    if (share < SHARE_MIN) shares.delete(itemId);
    else shares.set(itemId, share);
  };
  return {
    get,
    add: (itemId: ItemId, orders: number): void => {
      set(itemId, get(itemId) + orders);
    },
    shrinkTo: (open: number): void => {
      const all = [...shares.values()].reduce((sum, share) => sum + share, 0);
      if (all <= open) return;
      for (const [itemId, share] of shares) set(itemId, (share * open) / all);
    },
  };
}
