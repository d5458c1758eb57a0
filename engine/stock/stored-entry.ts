import type { LedgerEntry, LedgerState, TimelineStep } from '../orders/ledger';
import type { ItemId, OrderId, ReleaseReason } from '../orders/order';
import type { SaleReturn } from '../orders/sale-return';
import type { RedisConnection } from '../../platform/redis';
import { eventsKey, ordersKey } from './keys';

/** An entry as the scripts write it. */
interface StoredEntry {
  readonly order_id?: OrderId | undefined;
  readonly state: LedgerState;
  readonly units: number;
  readonly user: string;
  readonly fingerprint: string;
  readonly generation: number;
  readonly fence: number;
  /** The generations with unresolved charges: "1,2,". The stored field keeps its first name. */
  readonly owed: string;
  readonly price: number;
  readonly currency: string;
  readonly reason?: ReleaseReason | undefined;
  readonly cancelled_by_buyer?: true | undefined;
  readonly payment_id?: string | undefined;
  readonly pay_by?: number | undefined;
  readonly lease_until?: number | undefined;
  readonly accepted_at: number;
  readonly pay_within?: number | undefined;
  readonly finished_at?: number | undefined;
  /** Of the last end; absent where the order has not ended since there are revisions. */
  readonly revision?: number | undefined;
  /** "held@1700000000000 queued@1700000000005 " */
  readonly timeline: string;
  readonly returns?: readonly SaleReturn[] | undefined;
  readonly restocked?: Readonly<Record<string, number>> | undefined;
  /** The run that reserve has refused; only that script reads it. */
  readonly run?: string | undefined;
}

/** Every entry of an item's ledger, by request_id. For items of a size that fits into one reply. */
export async function entriesOf(
  redis: RedisConnection,
  itemId: ItemId,
): Promise<Map<string, LedgerEntry>> {
  const stored = Object.entries(await redis.hgetall(ordersKey(itemId)));
  return new Map(stored.map(([requestId, raw]) => [requestId, parseEntry(raw)]));
}

/** Reads an entry that a script has written. */
export function parseEntry(raw: string): LedgerEntry {
  const stored = JSON.parse(raw) as StoredEntry;
  return {
    orderId: stored.order_id,
    state: stored.state,
    units: stored.units,
    userId: stored.user,
    fingerprint: stored.fingerprint,
    generation: stored.generation,
    fence: stored.fence,
    unresolvedCharges: parseGenerations(stored.owed),
    priceMinor: stored.price,
    currency: stored.currency,
    acceptedAt: stored.accepted_at,
    timeline: stored.timeline
      .trim()
      .split(' ')
      .map((step) => {
        const [state, at] = step.split('@');
        return { at: Number(at), state: state as TimelineStep['state'] };
      }),
    ...(stored.reason !== undefined && { reason: stored.reason }),
    ...(stored.cancelled_by_buyer && { cancelledByBuyer: true }),
    ...(stored.payment_id !== undefined && { paymentId: stored.payment_id }),
    ...(stored.pay_by !== undefined && { payBy: stored.pay_by }),
    ...(stored.lease_until !== undefined && { leaseUntil: stored.lease_until }),
    ...(stored.pay_within !== undefined && { payWithinMs: stored.pay_within }),
    ...(stored.finished_at !== undefined && { finishedAt: stored.finished_at }),
    ...(stored.revision !== undefined && { revision: stored.revision }),
    ...(stored.returns && { returns: stored.returns }),
    ...(stored.restocked && { restocked: stored.restocked }),
  };
}

/** Reads an entry that may have been written by hand; `problem` says what is wrong with it. */
export function readEntry(raw: string): LedgerEntry | { readonly problem: string } {
  let stored: Partial<Record<keyof StoredEntry, unknown>>;
  try {
    stored = { ...(JSON.parse(raw) as object | null) };
  } catch (error) {
    return { problem: `not JSON (${String(error)})` };
  }
  const { state, units } = stored;
  if (!STATES.includes(state)) return { problem: `state ${JSON.stringify(state)} is none` };
  const isCount = (value: unknown, min: number) =>
    Number.isSafeInteger(value) && Number(value) >= min;
  if (!isCount(units, 1)) {
    return { problem: `units ${JSON.stringify(units)} are no number of units` };
  }
  const texts = ['user', 'fingerprint', 'owed', 'currency', 'timeline'] as const;
  const text = texts.find((name) => typeof stored[name] !== 'string');
  if (text) return { problem: `${text} is missing` };
  const numbers = ['generation', 'fence', 'price', 'accepted_at'] as const;
  const number = numbers.find((name) => !isCount(stored[name], 0));
  if (number) return { problem: `${number} is no whole number` };
  if (stored.revision !== undefined && !isCount(stored.revision, 1)) {
    return { problem: 'revision is no whole number' };
  }
  const wrong = (['pay_within', 'pay_by'] as const).find(
    (name) => stored[name] !== undefined && !isCount(stored[name], 1),
  );
  if (wrong) {
    return { problem: `${wrong} is no whole number` };
  }
  if (state === 'held' && !isCount(stored.lease_until, 0)) {
    return { problem: 'a hold without a lease' };
  }
  return parseEntry(raw);
}

const STATES: readonly unknown[] = ['held', 'queued', 'reserved', 'sold', 'released'];

/** The entry as the scripts would write it, for a ledger that is rebuilt. */
export function formatEntry(entry: LedgerEntry): string {
  const stored: StoredEntry = {
    order_id: entry.orderId,
    state: entry.state,
    units: entry.units,
    user: entry.userId,
    fingerprint: entry.fingerprint,
    generation: entry.generation,
    fence: entry.fence,
    owed: entry.unresolvedCharges.map((one) => `${String(one)},`).join(''),
    price: entry.priceMinor,
    currency: entry.currency,
    accepted_at: entry.acceptedAt,
    timeline: entry.timeline.map((step) => `${step.state}@${String(step.at)} `).join(''),
    // JSON leaves out what is undefined.
    pay_within: entry.payWithinMs,
    reason: entry.reason,
    cancelled_by_buyer: entry.cancelledByBuyer,
    payment_id: entry.paymentId,
    pay_by: entry.payBy,
    lease_until: entry.leaseUntil,
    finished_at: entry.finishedAt,
    revision: entry.revision,
    returns: entry.returns,
    restocked: entry.restocked,
  };
  return JSON.stringify(stored);
}

/** Generations from their stored form. */
export function parseGenerations(stored: string): number[] {
  return stored.split(',').filter(Boolean).map(Number);
}

/** A change in an item's stream. */
export interface StockEvent {
  /** A state of an order, or a change of the item: `adjusted`, `opened`, `sale` and the like. */
  readonly state: string;
  /** Free units after it; NaN where the change was not one of stock. */
  readonly free: number;
  /** Absent where the item itself has changed. */
  readonly order?: {
    readonly requestId: string;
    readonly units: number;
    readonly generation: number;
  };
}

/** Every change that the item's stream still has, the oldest first. */
export async function readEvents(redis: RedisConnection, itemId: ItemId): Promise<StockEvent[]> {
  const entries = await redis.xrange(eventsKey(itemId), '-', '+');
  return entries.flatMap(([, fields]) => parseEvents(fields));
}

/** The changes in one entry of the stream, in their order. */
export function parseEvents(fields: readonly string[]): StockEvent[] {
  const state = fieldOf(fields, 'state') ?? '';
  const changes = fieldOf(fields, 'changes');
  if (changes === undefined) return [{ state, free: Number(fieldOf(fields, 'free')) }];
  return changes.split(',').map((change) => {
    const [requestId = '', units, generation, free] = change.split(' ');
    const order = { requestId, units: Number(units), generation: Number(generation) };
    return { state, free: Number(free), order };
  });
}

/** The value of a field in a flat list of names and values, as Redis returns it. */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  const at = fields.findIndex((field, index) => index % 2 === 0 && field === name);
  return at < 0 ? undefined : fields[at + 1];
}
