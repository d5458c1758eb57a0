import type {
  CancelAnswer,
  LedgerEntry,
  LedgerState,
  RejectAnswer,
  Sale,
  StockCounts,
} from '../../domain/ledger';
import type { ItemId, Price, RequestId, UserId } from '../../domain/order';
import type {
  Admission,
  Attempt,
  Queued,
  Rejected,
  RequestOf,
  Undo,
  Verdict,
} from '../../stock/admission';
import type { StockLedger } from '../../stock/stock-ledger';

/**
 * The gateway's side of the stock in memory. It passes the contracts of admission and cancellation, and differs from Redis in this:
 * - one process, one clock: nothing is lost, nothing is slow, no call fails (wrap it to make one fail);
 * - claims never expire, and what a dead attempt held is reclaimed all at once, not a few at a time;
 * - an entry that is queued keeps the end of the lease that it no longer has;
 * - an item's ledger is open as soon as it has stock, and is never lost;
 * - it writes no events and no rejections, for it has no reserve, confirm or release: `force` puts an order into a later state.
 */
export interface FakeStock {
  readonly admission: Admission;
  readonly ledger: Pick<StockLedger, 'item' | 'findOrder' | 'cancel'>;
  /** What an operator does with redis-cli. */
  readonly setFree: (itemId: ItemId, units: number) => Promise<void>;
  /** Replaces how a known item is sold. */
  readonly setSale: (itemId: ItemId, sale: Sale) => Promise<void>;
  /** Changes an entry as a workflow would. Counts follow the state. */
  readonly force: (requestId: string, change: Partial<LedgerEntry>) => void;
  /** Puts a claim there as if another request had made it. */
  readonly claim: (requestId: string, value: string) => void;
  readonly dropClaim: (requestId: string) => void;
  /** Takes the units of a hold away, as whoever finds none does after its lease. */
  readonly reclaim: (requestId: string) => void;
  /** The requests whose rejection was written down. */
  readonly rejected: () => readonly string[];
  /** Everything it knows, to compare before and after. */
  readonly snapshot: () => string;
}

type Entry = LedgerEntry & { readonly token: string };

interface Item {
  free: number;
  sale: Sale;
  readonly entries: Map<string, Entry>;
}

const DEFAULT_PRICE: Price = { priceMinor: 1000, currency: 'USD' };

/** `leaseMs` is how long an attempt may hold units before they are reclaimed. */
export function createFakeStock({ leaseMs = 15_000 } = {}): FakeStock {
  const items = new Map<string, Item>();
  const claims = new Map<string, string>();
  const rejections = new Set<string>();

  const claimValue = ({ fingerprint, itemId }: Pick<Attempt, 'fingerprint' | 'itemId'>) =>
    `${fingerprint}|${itemId}`;

  const itemOf = (requestId: string) =>
    [...items].find(([, { entries }]) => entries.has(requestId)) ?? [];

  const claimAndHold = (attempt: Attempt): Verdict => {
    const claimed = claims.get(attempt.requestId);
    if (claimed === undefined) claims.set(attempt.requestId, claimValue(attempt));
    const claim =
      claimed === undefined ? 'new' : claimed === claimValue(attempt) ? 'same' : 'other';
    return { claim, hold: hold(items.get(attempt.itemId), attempt, leaseMs) };
  };

  const isKnown = ({ requestId, itemId }: RequestOf): boolean =>
    claims.has(requestId) || items.get(itemId)?.entries.has(requestId) === true;

  const undo = ({ requestId, itemId, token, undoHold, dropClaim }: Undo) => {
    const item = items.get(itemId);
    const entry = item?.entries.get(requestId);
    if (undoHold && item && entry?.state === 'held' && entry.token === token) {
      giveBack(item, requestId, entry);
    }
    if (dropClaim) claims.delete(requestId);
  };

  const queue = (order: Queued): boolean => {
    const { requestId, itemId } = order;
    const entry = items.get(itemId)?.entries.get(requestId);
    if (!claims.has(requestId)) claims.set(requestId, claimValue(order));
    if (entry?.state === 'held') items.get(itemId)?.entries.set(requestId, enter(entry, 'queued'));
    return entry !== undefined;
  };

  const reject = ({ requestId, itemId }: Rejected): RejectAnswer => {
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
      findOrder: (requestId: RequestId) => {
        const itemId = claims.get(requestId)?.split('|')[1] as ItemId | undefined;
        const entry = itemId && items.get(itemId)?.entries.get(requestId);
        return Promise.resolve(itemId && entry && { itemId, entry });
      },
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
    dropClaim: (requestId) => claims.delete(requestId),
    reclaim: (requestId) => {
      const [, item] = itemOf(requestId);
      const entry = item?.entries.get(requestId);
      if (!item || entry?.state !== 'held') throw new Error(`No hold of ${requestId}`);
      giveBack(item, requestId, entry);
    },
    rejected: () => [...rejections],
    snapshot: () =>
      JSON.stringify({
        claims: [...claims],
        items: [...items].map(([id, { entries, ...rest }]) => [id, rest, [...entries]]),
      }),
  };
}

function hold(item: Item | undefined, attempt: Attempt, leaseMs: number): Verdict['hold'] {
  const now = Date.now();
  const existing = item?.entries.get(attempt.requestId);
  if (item && existing) {
    if (existing.fingerprint !== attempt.fingerprint) return { kind: 'mismatch' };
    if (existing.state !== 'held') return { kind: 'exists', entry: existing };
    const retryAfterMs = (existing.leaseUntil ?? 0) - now;
    if (retryAfterMs > 0 && existing.token !== attempt.token) {
      return { kind: 'in-progress', retryAfterMs };
    }
    const renewed = { ...existing, token: attempt.token, leaseUntil: now + leaseMs };
    item.entries.set(attempt.requestId, renewed);
    return { kind: 'held', ...priceOf(existing), acceptedAt: existing.acceptedAt };
  }
  if (!item) return { kind: 'unopened', known: false };
  const { opensAt, closesAt } = item.sale;
  if (opensAt !== undefined && now < opensAt) return { kind: 'closed', when: 'not-open', opensAt };
  if (closesAt !== undefined && now >= closesAt) return { kind: 'closed', when: 'over', closesAt };
  return holdAfresh(item, attempt, { now, leaseMs });
}

function holdAfresh(
  item: Item,
  attempt: Attempt,
  { now, leaseMs }: { now: number; leaseMs: number },
): Verdict['hold'] {
  const { requestId, userId, fingerprint, token, amount } = attempt;
  const { unitsPerUser } = item.sale;
  const wanting = () =>
    item.free < amount || owned(item, userId) + amount > (unitsPerUser ?? Infinity);
  if (wanting()) reclaim(item, now);
  if (unitsPerUser !== undefined && owned(item, userId) + amount > unitsPerUser) {
    return { kind: 'limit', unitsPerUser, owned: owned(item, userId) };
  }
  if (item.free < amount) {
    const { free, held, queued, reserved } = counts(item);
    return { kind: 'sold-out', final: free + held + queued + reserved === 0 };
  }
  const price = priceOf({ ...DEFAULT_PRICE, ...item.sale });
  item.free -= amount;
  item.entries.set(requestId, {
    ...{ state: 'held', units: amount, userId, fingerprint, token, ...price },
    ...{ generation: 0, fence: 0, owed: [], acceptedAt: now, leaseUntil: now + leaseMs },
    timeline: [{ at: now, state: 'held' }],
  });
  return { kind: 'held', ...price, acceptedAt: now };
}

function reclaim(item: Item, now: number): void {
  for (const [requestId, entry] of item.entries) {
    if (entry.state === 'held' && (entry.leaseUntil ?? 0) <= now) giveBack(item, requestId, entry);
  }
}

function cancel(item: Item | undefined, requestId: RequestId, userId: UserId): CancelAnswer {
  const entry = item?.entries.get(requestId);
  if (!item || !entry || entry.state === 'held') return { kind: 'unknown' };
  if (entry.userId !== userId) return { kind: 'not-the-buyer' };
  if (entry.state === 'sold') return { kind: 'sold', entry };
  if (entry.state === 'released' && entry.reason !== 'cancelled') return { kind: 'failed', entry };
  const marked = { ...entry, cancelledByBuyer: true } as const;
  const isQueued = entry.state === 'queued';
  if (isQueued) item.free += entry.units;
  const end = { reason: 'cancelled', finishedAt: Date.now() } as const;
  const after = isQueued ? { ...enter(marked, 'released'), ...end } : marked;
  item.entries.set(requestId, after);
  return { kind: after.state === 'released' ? 'cancelled' : 'under-way', entry: after };
}

function giveBack(item: Item, requestId: string, entry: Entry): void {
  item.free += entry.units;
  item.entries.delete(requestId);
}

function enter(entry: Entry, state: LedgerState): Entry {
  return { ...entry, state, timeline: [...entry.timeline, { at: Date.now(), state }] };
}

function priceOf({ priceMinor, currency }: Price): Price {
  return { priceMinor, currency };
}

function owned(item: Item, userId: string): number {
  return [...item.entries.values()]
    .filter((entry) => entry.userId === userId && entry.state !== 'released')
    .reduce((sum, { units }) => sum + units, 0);
}

function counts(item: Item): StockCounts {
  const sum = (state: LedgerState) =>
    [...item.entries.values()]
      .filter((entry) => entry.state === state)
      .reduce((total, { units }) => total + units, 0);
  const parts = {
    held: sum('held'),
    queued: sum('queued'),
    reserved: sum('reserved'),
    sold: sum('sold'),
  };
  const { held, queued, reserved, sold } = parts;
  return { free: item.free, ...parts, supply: item.free + held + queued + reserved + sold };
}
