import { createHash } from 'node:crypto';
import type { DisputeState, RefundStatus } from '../../payment-provider';

const CHARGE_STATUSES = [
  /** Its buyer can pay it, or try another card. */
  'open',
  /** The buyer has paid, and the bank is still deciding. */
  'processing',
  'captured',
  'declined',
  /** It was open and was ended without money. */
  'cancelled',
  'refunded',
  /** It was closed before it was ever seen. */
  'blocked',
] as const;
type ChargeStatus = (typeof CHARGE_STATUSES)[number];

/** What a buyer does on the page of a payment; a processing one takes the first two as its bank's decision. */
export const BUYER_ACTIONS = [
  'approve',
  'decline',
  'insufficient-funds',
  'challenge',
  'approve-challenge',
  'fail-challenge',
  'processing',
] as const;
export type BuyerAction = (typeof BUYER_ACTIONS)[number];

/** Whose charge it is, as the engine has told it; absent where it did not, as in old ledgers. */
export interface ChargeContext {
  readonly requestId: string;
  readonly itemId: string;
  readonly userId: string;
}

/** The state of one key; also one line of the ledger file. Only `captured` holds money. */
export interface ChargeRecord {
  readonly key: string;
  readonly status: ChargeStatus;
  /** Minor units; 0 for a key that was blocked before any charge. */
  readonly amount: number;
  /** ISO 4217; null for a key that was blocked before any charge. */
  readonly currency: string | null;
  /** When the status last changed, in milliseconds since the epoch. */
  readonly at: number;
  /** Present once money was taken, also after its refund. */
  readonly payment_id?: string;
  readonly context?: ChargeContext;
  /** Why a charge under this key is declined; absent while it is not. */
  readonly code?: string;
  /** Names the page of a payment that its buyer makes. Whoever knows it can pay. */
  readonly token?: string;
  /** What became of the last card of an open payment: `challenge`, while it waits for an answer, or the code of its decline. */
  readonly card?: string;
  /** The oldest first. Absent: none, or in a ledger of a version that knew only whole ones. */
  readonly refunds?: readonly RefundRow[];
  readonly disputes?: readonly DisputeRow[];
}

/**
 * What happens at the provider. A payment that the engine charges by itself makes no event: it has the answer, and a webhook for
 * each would be a load of its own.
 */
export type EventType =
  | 'payment.paid'
  | 'payment.cancelled'
  | `refund.${RefundStatus}`
  | 'dispute.opened'
  | 'dispute.closed';

/** A refund of a charge. */
export interface RefundRow {
  readonly id: string;
  /** Absent where nobody named it, as in a provider's dashboard. */
  readonly refund_key?: string;
  readonly amount: number;
  readonly currency: string;
  readonly status: RefundStatus;
  readonly at: number;
  readonly code?: string;
}

/** A dispute about a charge. */
export interface DisputeRow {
  readonly id: string;
  readonly amount: number;
  readonly currency: string;
  readonly status: DisputeState['status'];
  readonly at: number;
  readonly reason?: string;
}

/** The line of the ledger file with which a key changed, and the event that this is. */
export interface LedgerLine extends ChargeRecord {
  readonly event?: { readonly id: string; readonly type: EventType };
}

/** A whole line is no torn write. To start without a damaged one could charge its key a second time. */
export function parseLine(line: string): LedgerLine {
  const record = JSON.parse(line) as Partial<LedgerLine> | null;
  const whole =
    typeof record?.key === 'string' &&
    CHARGE_STATUSES.some((status) => status === record.status) &&
    typeof record.amount === 'number' &&
    (typeof record.currency === 'string' || record.currency === null);
  if (!whole) throw new Error(`The payment ledger file has a damaged line: ${line.slice(0, 200)}`);
  return record as LedgerLine;
}

/** Whether a key is of this charge; one that was blocked before any charge is of every. */
export function isSame(known: ChargeRecord, amount: number, currency: string): boolean {
  return known.currency === null || (known.amount === amount && known.currency === currency);
}

/** The payment after an action of its buyer, or of the bank of a processing one; itself where the action changes nothing. */
export function pay(known: ChargeRecord, action: BuyerAction): ChargeRecord {
  const { card, ...open } = known;
  const paid = (): ChargeRecord => ({
    ...open,
    status: 'captured',
    payment_id: paymentId(known.key),
  });
  const reopened = (result: string): ChargeRecord => ({ ...open, status: 'open', card: result });
  if (known.status !== 'open' && known.status !== 'processing') return known;
  if (action === 'approve') return paid();
  if (action === 'decline') return reopened('card_declined');
  if (known.status === 'processing') return known;
  switch (action) {
    case 'insufficient-funds':
      return reopened('insufficient_funds');
    case 'challenge':
      return reopened('challenge');
    case 'processing':
      return { ...open, status: 'processing' };
    case 'approve-challenge':
      return card === 'challenge' ? paid() : known;
    case 'fail-challenge':
      return card === 'challenge' ? reopened('authentication_failed') : known;
  }
}

export function paymentId(key: string): string {
  return `pay_${createHash('sha256').update(`payment:${key}`).digest('hex').slice(0, 24)}`;
}
