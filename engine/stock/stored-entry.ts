import type { LedgerEntry, LedgerState } from '../orders/ledger';
import type { ItemId, ReleaseReason } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { ordersKey } from './keys';

/** The stored form of an entry, as the scripts write it. */
interface StoredEntry {
  readonly state: LedgerState;
  readonly units: number;
  readonly user: string;
  readonly fingerprint: string;
  readonly generation: number;
  readonly fence: number;
  /** "1,2," */
  readonly owed: string;
  readonly price: number;
  readonly currency: string;
  readonly reason?: ReleaseReason;
  readonly cancelled_by_buyer?: true;
  readonly payment_id?: string;
  readonly lease_until?: number;
  readonly accepted_at: number;
  readonly finished_at?: number;
  /** "held@1700000000000 queued@1700000000005 " */
  readonly timeline: string;
}

/** Every entry of an item's ledger, by request_id. For items of a size that fits into one answer. */
export async function entriesOf(
  redis: RedisConnection,
  itemId: ItemId,
): Promise<Map<string, LedgerEntry>> {
  const stored = Object.entries(await redis.hgetall(ordersKey(itemId)));
  return new Map(stored.map(([requestId, raw]) => [requestId, parseEntry(raw)]));
}

export function parseEntry(raw: string): LedgerEntry {
  const stored = JSON.parse(raw) as StoredEntry;
  return {
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
        return { at: Number(at), state: state as LedgerState };
      }),
    ...(stored.reason !== undefined && { reason: stored.reason }),
    ...(stored.cancelled_by_buyer && { cancelledByBuyer: true }),
    ...(stored.payment_id !== undefined && { paymentId: stored.payment_id }),
    ...(stored.lease_until !== undefined && { leaseUntil: stored.lease_until }),
    ...(stored.finished_at !== undefined && { finishedAt: stored.finished_at }),
  };
}

/** The entry as the scripts would have written it, for a ledger that is rebuilt. */
export function formatEntry(entry: LedgerEntry): string {
  const { state, units, generation, fence, unresolvedCharges, timeline } = entry;
  const stored: StoredEntry = {
    ...{ state, units, user: entry.userId, fingerprint: entry.fingerprint, generation, fence },
    owed: unresolvedCharges.map((one) => `${String(one)},`).join(''),
    ...{ price: entry.priceMinor, currency: entry.currency, accepted_at: entry.acceptedAt },
    timeline: timeline.map((step) => `${step.state}@${String(step.at)} `).join(''),
    ...(entry.reason !== undefined && { reason: entry.reason }),
    ...(entry.cancelledByBuyer && { cancelled_by_buyer: true }),
    ...(entry.paymentId !== undefined && { payment_id: entry.paymentId }),
    ...(entry.leaseUntil !== undefined && { lease_until: entry.leaseUntil }),
    ...(entry.finishedAt !== undefined && { finished_at: entry.finishedAt }),
  };
  return JSON.stringify(stored);
}

const STATES: readonly unknown[] = ['held', 'queued', 'reserved', 'sold', 'released'];

/** The entry, or what is wrong with a text that no script has written. */
export function readEntry(raw: string): LedgerEntry | { readonly fault: string } {
  let stored: Partial<Record<keyof StoredEntry, unknown>>;
  try {
    stored = { ...(JSON.parse(raw) as object | null) };
  } catch (error) {
    return { fault: `not JSON (${String(error)})` };
  }
  const { state, units } = stored;
  if (!STATES.includes(state)) return { fault: `state ${JSON.stringify(state)} is none` };
  const isCount = (value: unknown, min: number) =>
    Number.isSafeInteger(value) && Number(value) >= min;
  if (!isCount(units, 1)) return { fault: `units ${JSON.stringify(units)} are no number of units` };
  const texts = ['user', 'fingerprint', 'owed', 'currency', 'timeline'] as const;
  const text = texts.find((name) => typeof stored[name] !== 'string');
  if (text) return { fault: `${text} is missing` };
  const numbers = ['generation', 'fence', 'price', 'accepted_at'] as const;
  const number = numbers.find((name) => !isCount(stored[name], 0));
  if (number) return { fault: `${number} is no whole number` };
  if (state === 'held' && !isCount(stored.lease_until, 0))
    return { fault: 'a hold without a lease' };
  return parseEntry(raw);
}

/** Generations from their stored form. */
export function parseGenerations(owed: string): number[] {
  return owed.split(',').filter(Boolean).map(Number);
}
