import type { LedgerEntry, RejectResult } from '../../engine/orders/ledger';
import type { ItemId, RequestId } from '../../engine/orders/order';
import type {
  Admission,
  Attempt,
  Queued,
  RequestOf,
  Undo,
  Verdict,
} from '../../engine/stock/admission';
import { FINISHED_MARK } from '../../engine/stock/keys';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { cancel, counts, enter, removeHold, hold, type Item } from './fake-ledger';
import type { Sale } from '../../engine/orders/sale';

/**
 * The part of the stock that the gateway uses, in memory. It passes the contracts of admission and cancellation. Unlike Redis:
 * - it has one process and one clock: nothing is lost or slow, and no call fails (wrap it to make one fail);
 * - claims never expire, and expired holds are reclaimed all at once, not a few at a time;
 * - a queued entry keeps the end of its former lease;
 * - an item's ledger is open as soon as it has stock;
 * - it writes no events and has no reserve, confirm or release, which would read the rejections: `force` puts an order into
 *   a later state.
 */
export interface FakeStock {
  readonly admission: Admission;
  readonly ledger: Pick<StockLedger, 'item' | 'findOrder' | 'hasLeft' | 'cancel'>;
  /** The same as SET inventory:<item>. */
  readonly setFree: (itemId: ItemId, units: number) => Promise<void>;
  /** Replaces the sale of a known item. */
  readonly setSale: (itemId: ItemId, sale: Sale) => Promise<void>;
  /** Changes an entry as a workflow would. The counts follow the state. */
  readonly force: (requestId: string, change: Partial<LedgerEntry>) => void;
  /** Sets a claim as if another request had made it. */
  readonly claim: (requestId: string, value: string) => void;
  readonly dropClaim: (requestId: string) => void;
  /** Reclaims the units of a hold, as a request that finds no unit does after the lease. */
  readonly reclaim: (requestId: string) => void;
  /** The requests whose rejection was recorded. */
  readonly rejected: () => readonly string[];
  /** All state, to compare before and after. */
  readonly snapshot: () => string;
}

/** `leaseMs` is how long an attempt can hold units before they are reclaimed. */
export function createFakeStock({ leaseMs = 15_000 } = {}): FakeStock {
  const items = new Map<string, Item>();
  const claims = new Map<string, string>();
  /** Requests whose claims were prolonged, because their orders were accepted. */
  const accepted = new Set<string>();
  const rejections = new Set<string>();

  const claimValue = ({ fingerprint, itemId }: Pick<Attempt, 'fingerprint' | 'itemId'>) =>
    `${fingerprint}|${itemId}`;

  const itemOf = (requestId: string) =>
    [...items].find(([, { entries }]) => entries.has(requestId)) ?? [];

  const claimAndHold = (attempt: Attempt): Verdict => {
    const claimed = claims.get(attempt.requestId);
    if (claimed === undefined) claims.set(attempt.requestId, claimValue(attempt));
    const own = claimValue(attempt);
    const standings = new Map([
      [undefined, 'new' as const],
      [own, 'same' as const],
      [`${own}${FINISHED_MARK}`, 'finished' as const],
    ]);
    const claim = standings.get(claimed) ?? 'other';
    return { claim, hold: hold(items.get(attempt.itemId), attempt, leaseMs) };
  };

  const isKnown = ({ requestId, itemId }: RequestOf): boolean =>
    claims.has(requestId) || items.get(itemId)?.entries.has(requestId) === true;

  const undo = (attempt: Undo) => {
    const { requestId, itemId, token, undoHold, dropClaim } = attempt;
    const item = items.get(itemId);
    const entry = item?.entries.get(requestId);
    if (undoHold && item && entry?.state === 'held' && entry.token === token) {
      removeHold(item, requestId, entry);
    }
    const isOwn = claims.get(requestId) === claimValue(attempt) && !accepted.has(requestId);
    if (dropClaim && isOwn) claims.delete(requestId);
  };

  const queue = (order: Queued): boolean => {
    const { requestId, itemId } = order;
    const entry = items.get(itemId)?.entries.get(requestId);
    if (!claims.has(requestId)) claims.set(requestId, claimValue(order));
    accepted.add(requestId);
    if (entry?.orderId !== order.orderId) return false;
    if (entry?.state === 'held') items.get(itemId)?.entries.set(requestId, enter(entry, 'queued'));
    return entry !== undefined;
  };

  const reject = ({ requestId, itemId }: RequestOf): RejectResult => {
    const entry = items.get(itemId)?.entries.get(requestId);
    if (!entry) {
      rejections.add(requestId);
      return { kind: 'rejected' };
    }
    if (entry.state !== 'held') return { kind: 'exists', entry };
    return { kind: 'in-progress', retryAfterMs: Math.max((entry.leaseUntil ?? 0) - Date.now(), 0) };
  };

  return {
    admission: {
      claimAndHold: (attempts) => Promise.resolve(attempts.map(claimAndHold)),
      areKnown: (requests) => Promise.resolve(requests.map(isKnown)),
      undo: (attempts) => {
        attempts.forEach(undo);
        return Promise.resolve();
      },
      queue: (orders) => Promise.resolve(orders.map(queue)),
      reject: (requests) => Promise.resolve(requests.map(reject)),
    },
    ledger: {
      findOrder: (requestId: RequestId, known?: ItemId) => {
        const itemId = known ?? (claims.get(requestId)?.split('|')[1] as ItemId | undefined);
        if (itemId === undefined) return Promise.resolve(undefined);
        const item = items.get(itemId);
        if (!item) return Promise.reject(new Error(`NOLEDGER the ledger of ${itemId} is not open`));
        const entry = item.entries.get(requestId);
        return Promise.resolve(entry && { itemId, entry });
      },
      hasLeft: (requestId) =>
        Promise.resolve(claims.get(requestId)?.endsWith(FINISHED_MARK) === true),
      item: (itemId) => {
        const item = items.get(itemId);
        return Promise.resolve(item && { counts: counts(item), sale: item.sale });
      },
      cancel: ({ itemId, requestId, userId }) =>
        Promise.resolve(cancel(items.get(itemId), requestId, userId)),
    },
    setSale: (itemId, sale) => {
      const item = items.get(itemId);
      if (item) item.sale = sale;
      return Promise.resolve();
    },
    setFree: (itemId, units) => {
      const item = items.get(itemId);
      if (item) item.free = units;
      else items.set(itemId, { free: units, sale: {}, entries: new Map() });
      return Promise.resolve();
    },
    force: (requestId, change) => {
      const [, item] = itemOf(requestId);
      const entry = item?.entries.get(requestId);
      if (!item || !entry) throw new Error(`No entry of ${requestId}`);
      const next = change.state ? enter(entry, change.state) : entry;
      if (change.state === 'released') item.free += entry.units;
      item.entries.set(requestId, { ...next, ...change });
    },
    claim: (requestId, value) => claims.set(requestId, value),
    dropClaim: (requestId) => {
      claims.delete(requestId);
      accepted.delete(requestId);
    },
    reclaim: (requestId) => {
      const [, item] = itemOf(requestId);
      const entry = item?.entries.get(requestId);
      if (!item || entry?.state !== 'held') throw new Error(`No hold of ${requestId}`);
      removeHold(item, requestId, entry);
    },
    rejected: () => [...rejections],
    snapshot: () =>
      JSON.stringify({
        claims: [...claims],
        items: [...items].map(([id, { entries, ...rest }]) => [id, rest, [...entries]]),
      }),
  };
}
