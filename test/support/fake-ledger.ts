import type { CancelResult, LedgerEntry, LedgerState } from '../../engine/orders/ledger';
import type { OrderId, Price, RequestId, UserId } from '../../engine/orders/order';
import type { Attempt, Verdict } from '../../engine/stock/admission';
import type { Sale, StockCounts } from '../../engine/orders/sale';

/** An order, with the token of the attempt that holds it. */
export type Entry = LedgerEntry & { readonly token: string };

/** The stock and the sale of one item. */
export interface Item {
  free: number;
  sale: Sale;
  readonly entries: Map<string, Entry>;
}

const DEFAULT_PRICE: Price = { priceMinor: 1000, currency: 'USD' };

/** The same as hold.lua, for one attempt. */
export function hold(item: Item | undefined, attempt: Attempt, leaseMs: number): Verdict['hold'] {
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
    const { acceptedAt, orderId } = existing;
    return { kind: 'held', ...priceOf(existing), acceptedAt, orderId, ...timeToPay(existing) };
  }
  if (!item) return { kind: 'unopened', known: false };
  const { opensAt, closesAt } = item.sale;
  if (opensAt !== undefined && now < opensAt) return { kind: 'closed', when: 'not-open', opensAt };
  if (closesAt !== undefined && now >= closesAt) return { kind: 'closed', when: 'over', closesAt };
  if (item.sale.payWithinMs !== undefined && attempt.payment) return { kind: 'payment-named' };
  return holdAfresh(item, attempt, { now, leaseMs });
}

function holdAfresh(
  item: Item,
  attempt: Attempt,
  { now, leaseMs }: { now: number; leaseMs: number },
): Verdict['hold'] {
  const { requestId, userId, fingerprint, token, amount } = attempt;
  const { unitsPerUser } = item.sale;
  const isShort = () =>
    item.free < amount || owned(item, userId) + amount > (unitsPerUser ?? Infinity);
  if (isShort()) reclaim(item, now);
  if (unitsPerUser !== undefined && owned(item, userId) + amount > unitsPerUser) {
    const { held, queued, reserved } = counts(item);
    const final = amount > unitsPerUser || held + queued + reserved === 0;
    return { kind: 'limit', unitsPerUser, owned: owned(item, userId), final };
  }
  if (item.free < amount) {
    const { free, held, queued, reserved } = counts(item);
    return { kind: 'sold-out', final: free + held + queued + reserved === 0 };
  }
  const price = priceOf({ ...DEFAULT_PRICE, ...item.sale });
  const pay = timeToPay(item.sale);
  item.free -= amount;
  const orderId = token as OrderId;
  item.entries.set(requestId, {
    orderId,
    state: 'held',
    units: amount,
    userId,
    fingerprint,
    token,
    ...price,
    ...pay,
    generation: 0,
    fence: 0,
    unresolvedCharges: [],
    acceptedAt: now,
    leaseUntil: now + leaseMs,
    timeline: [{ at: now, state: 'held' }],
  });
  return { kind: 'held', ...price, acceptedAt: now, orderId, ...pay };
}

function reclaim(item: Item, now: number): void {
  for (const [requestId, entry] of item.entries) {
    if (entry.state === 'held' && (entry.leaseUntil ?? 0) <= now)
      removeHold(item, requestId, entry);
  }
}

/** The same as cancel.lua. */
export function cancel(item: Item | undefined, requestId: RequestId, userId: UserId): CancelResult {
  const entry = item?.entries.get(requestId);
  if (!item || !entry || entry.state === 'held') return { kind: 'unknown' };
  if (entry.userId !== userId) return { kind: 'not-the-buyer' };
  if (entry.state === 'sold') return { kind: 'sold', entry };
  const isCancelled = entry.reason === 'cancelled' || entry.reason === 'payment-deadline';
  if (entry.state === 'released' && !isCancelled) return { kind: 'failed', entry };
  const marked = { ...entry, cancelledByBuyer: true } as const;
  const isQueued = entry.state === 'queued';
  if (isQueued) item.free += entry.units;
  const end = { reason: 'cancelled', finishedAt: Date.now() } as const;
  const after = isQueued ? { ...enter(marked, 'released'), ...end } : marked;
  item.entries.set(requestId, after);
  return { kind: after.state === 'released' ? 'cancelled' : 'under-way', entry: after };
}

export function removeHold(item: Item, requestId: string, entry: Entry): void {
  item.free += entry.units;
  item.entries.delete(requestId);
}

export function enter(entry: Entry, state: LedgerState): Entry {
  return { ...entry, state, timeline: [...entry.timeline, { at: Date.now(), state }] };
}

function priceOf({ priceMinor, currency }: Price): Price {
  return { priceMinor, currency };
}

function timeToPay({ payWithinMs }: Pick<Sale, 'payWithinMs'>) {
  return payWithinMs === undefined ? {} : { payWithinMs };
}

function owned(item: Item, userId: string): number {
  return [...item.entries.values()]
    .filter((entry) => entry.userId === userId && entry.state !== 'released')
    .reduce((sum, { units }) => sum + units, 0);
}

export function counts(item: Item): StockCounts {
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
