import { randomUUID } from 'node:crypto';
import type { RefundStatus } from '../../payment-provider';
import type { ChargeRecord, DisputeRow, EventType, RefundRow } from './charge-record';

/** What a key becomes, if it changes, and what is answered. */
export interface Change<T> {
  readonly result: T;
  readonly record?: ChargeRecord;
  readonly event?: EventType;
}

/** `undecided`: the payment is open or processing. */
export type RefundResult = RefundRow | { readonly refused: string } | 'undecided';

/** Minor units that were given back or are on their way. */
export function refundedOf(record: ChargeRecord): number {
  const effective = refundsOf(record).filter(({ status }) => status !== 'failed');
  return effective.reduce((sum, { amount }) => sum + amount, 0);
}

/** Ledgers of versions that knew only whole refunds do not list them. */
export function refundsOf(record: ChargeRecord): readonly RefundRow[] {
  const { refunds, status, key, amount, currency, at } = record;
  if (refunds || status !== 'refunded') return refunds ?? [];
  return [{ id: `re_${key}`, amount, currency: currency ?? '', status: 'succeeded', at }];
}

/** What can still be given back: neither a refund nor a lost dispute has taken it. */
function leftOf(record: ChargeRecord): number {
  const lost = record.disputes?.filter(({ status }) => status === 'lost') ?? [];
  return record.amount - refundedOf(record) - lost.reduce((sum, { amount }) => sum + amount, 0);
}

function isDisputed({ disputes }: ChargeRecord): boolean {
  return disputes?.some(({ status }) => status === 'open') ?? false;
}

/** A refund of what is left, or of a part of it; once for its refund key. */
export function refund(
  known: ChargeRecord | undefined,
  wanted: { refund_key?: string; amount?: number; currency?: string; status?: RefundStatus },
): Change<RefundResult> {
  const { refund_key, status = 'succeeded' } = wanted;
  if (known?.status === 'open' || known?.status === 'processing') return { result: 'undecided' };
  if (known?.payment_id === undefined || known.currency === null) {
    return { result: { refused: 'not_charged' } };
  }
  const earlier = refundsOf(known).find((one) => one.refund_key === refund_key);
  if (earlier && refund_key !== undefined) return { result: earlier };
  const left = leftOf(known);
  const { amount = left, currency = known.currency } = wanted;
  if (currency !== known.currency) return { result: { refused: 'currency_mismatch' } };
  if (isDisputed(known)) return { result: { refused: 'charge_disputed' } };
  if (left <= 0) return { result: { refused: 'charge_already_refunded' } };
  if (amount > left) return { result: { refused: 'amount_too_large' } };
  const named = refund_key !== undefined && { refund_key };
  const row = { id: `re_${randomUUID()}`, ...named, amount, currency, status, at: Date.now() };
  return {
    result: row,
    record: withRefunds(known, [...refundsOf(known), row]),
    event: `refund.${status}`,
  };
}

/** What the bank says of a refund; one that has failed stays so. */
export function decideRefund(
  known: ChargeRecord | undefined,
  id: string,
  { status, code }: { status: 'succeeded' | 'failed'; code?: string },
): Change<RefundRow | undefined> {
  const before = known && refundsOf(known).find((one) => one.id === id);
  if (!known || !before) return { result: undefined };
  if (before.status === 'failed' || before.status === status) return { result: before };
  const failure = status === 'failed' && { code: code ?? 'declined' };
  const row: RefundRow = { ...before, status, ...failure };
  const rows = refundsOf(known).map((one) => (one.id === id ? row : one));
  return { result: row, record: withRefunds(known, rows), event: `refund.${status}` };
}

/** The buyer objects. Undefined: there is no money, or a dispute about it already. */
export function openDispute(
  known: ChargeRecord | undefined,
  { amount, reason }: { amount?: number; reason?: string },
): Change<DisputeRow | undefined> {
  if (known?.status !== 'captured' || known.currency === null || isDisputed(known)) {
    return { result: undefined };
  }
  const left = leftOf(known);
  const { currency } = known;
  const disputed = amount ?? left;
  if (disputed > left || disputed === 0) return { result: undefined };
  const at = Date.now();
  const id = `dp_${randomUUID()}`;
  const row: DisputeRow = {
    id,
    amount: disputed,
    currency,
    status: 'open',
    at,
    ...(reason && { reason }),
  };
  return {
    result: row,
    record: { ...known, disputes: [...(known.disputes ?? []), row] },
    event: 'dispute.opened',
  };
}

/** What the bank decides on the open dispute. Undefined: there is none. */
export function closeDispute(
  known: ChargeRecord | undefined,
  status: 'won' | 'lost',
): Change<DisputeRow | undefined> {
  const open = known?.disputes?.find((one) => one.status === 'open');
  if (!known || !open) return { result: undefined };
  const row = { ...open, status };
  const disputes = known.disputes?.map((one) => (one === open ? row : one)) ?? [];
  return { result: row, record: { ...known, disputes }, event: 'dispute.closed' };
}

/** A charge of which nothing is left is refunded. One whose refund has failed holds money again. */
function withRefunds(known: ChargeRecord, refunds: readonly RefundRow[]): ChargeRecord {
  const { code, ...record } = { code: 'refunded', ...known, refunds };
  if (refundedOf(record) < record.amount) return { ...record, status: 'captured' };
  return { ...record, status: 'refunded', code };
}
