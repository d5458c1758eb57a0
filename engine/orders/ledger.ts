import type { ItemId, Order, OrderId, OrderReason, Price, ReleaseReason, RequestId } from './order';
import type { SaleReturn } from './sale-return';

/** States of an order in the ledger. An order that never held anything has no entry. */
export type LedgerState = 'held' | 'queued' | 'reserved' | 'sold' | 'released';

/** The ledger's entry of one order. Times are milliseconds since the epoch on the Redis server's clock. */
export interface LedgerEntry extends Price {
  /** Made with the entry; absent in entries that are older than order ids. */
  readonly orderId?: OrderId | undefined;
  readonly state: LedgerState;
  /** Units of this order, also while they are not held. */
  readonly units: number;
  readonly userId: string;
  readonly fingerprint: string;
  /** 0 until the first reserve, 1 for the first try to sell, +1 each time it is reserved again. */
  readonly generation: number;
  /** The largest fence that took effect; 0 before the workflow's first step. */
  readonly fence: number;
  /** Generations whose money is not known to be settled: each is refunded, or its payment key blocked. */
  readonly unresolvedCharges: readonly number[];
  readonly reason?: ReleaseReason;
  /** The buyer has cancelled the order: it is never reserved again and, unless it is sold already, ends as cancelled. */
  readonly cancelledByBuyer?: true;
  readonly paymentId?: string;
  /** By when the buyer has to pay the reserved generation; absent where the engine charges by itself. */
  readonly payBy?: number;
  /** When the hold's lease ends; only while held. */
  readonly leaseUntil?: number;
  readonly acceptedAt: number;
  /** As in an Order. */
  readonly payWithinMs?: number;
  /** When it was sold or released; absent while it is under way. */
  readonly finishedAt?: number;
  readonly timeline: readonly TimelineStep[];
  /** Of the last time that the order ended: larger than those before it. Absent where that is older than revisions. */
  readonly revision?: number;
  /** Refunds of a sale, and disputes about it. */
  readonly returns?: readonly SaleReturn[];
  /** Units of a refunded sale that are on sale again, by the operation that put them back. */
  readonly restocked?: Readonly<Record<string, number>>;
}

/** Units that count as the buyer's, while they are not released. */
export function ownedUnits({
  units,
  restocked = {},
}: Pick<LedgerEntry, 'units' | 'restocked'>): number {
  return Object.values(restocked).reduce((rest, back) => rest - back, units);
}

export interface TimelineStep {
  readonly at: number;
  readonly state: LedgerState | 'awaiting-payment';
}

/** The order of an entry, as its record has it. */
export function orderOf({
  itemId,
  requestId,
  entry,
}: {
  readonly itemId: ItemId;
  readonly requestId: RequestId;
  readonly entry: LedgerEntry;
}): Order {
  return {
    requestId,
    orderId: entry.orderId,
    itemId,
    userId: entry.userId as Order['userId'],
    amount: entry.units,
    fingerprint: entry.fingerprint,
    priceMinor: entry.priceMinor,
    currency: entry.currency,
    acceptedAt: entry.acceptedAt,
    payWithinMs: entry.payWithinMs,
  };
}

/** What the buyer sees of an order. */
export type OrderStatus =
  'queued' | 'reserved' | 'awaiting-payment' | 'confirmed' | 'failed' | 'cancelled';

/** The buyer's view of an entry. Undefined while the order is only held: it is not accepted, so it does not exist yet. */
export function orderStatus(
  entry: Pick<LedgerEntry, 'state' | 'reason' | 'payBy'>,
): OrderStatus | undefined {
  switch (entry.state) {
    case 'held':
      return undefined;
    case 'queued':
      return 'queued';
    case 'reserved':
      return entry.payBy === undefined ? 'reserved' : 'awaiting-payment';
    case 'sold':
      return 'confirmed';
    case 'released':
      return isCancelled(entry.reason) ? 'cancelled' : 'failed';
  }
}

/** Whether an order with this reason has ended without a failure: nobody has to look at it. */
export function isCancelled(reason: ReleaseReason | undefined): boolean {
  return reason === 'cancelled' || reason === 'payment-deadline';
}

/** Whether the order stays as it is unless an operator retries it. */
export function isFinal(status: OrderStatus): boolean {
  return status === 'confirmed' || status === 'failed' || status === 'cancelled';
}

/** Why a released order was not sold; null where it was cancelled by somebody, which is no reason to tell. */
export function failureReason(entry: Pick<LedgerEntry, 'state' | 'reason'>): OrderReason | null {
  const { state, reason = 'cancelled' } = entry;
  return state === 'released' && reason !== 'cancelled' ? reason : null;
}

/** The result of `hold`: one atomic decision on one request. */
export type HoldResult =
  | ({
      readonly kind: 'held';
      readonly acceptedAt: number;
      /** The entry's: of the attempt that made it, also where a later attempt has taken the hold over. */
      readonly orderId: OrderId | undefined;
      /** The entry's, as the price is. */
      readonly payWithinMs?: number;
    } & Price)
  /** Another attempt has a live lease, which ends in `retryAfterMs` at the latest. */
  | { readonly kind: 'in-progress'; readonly retryAfterMs: number }
  | { readonly kind: 'exists'; readonly entry: LedgerEntry }
  | { readonly kind: 'mismatch' }
  /**
   * `final`: every unit is sold. Otherwise units are still in checkout and may return. `stockKeyVanished`: somebody or
   * something has removed the item's stock key, and with it its free units.
   */
  | { readonly kind: 'sold-out'; readonly final: boolean; readonly stockKeyVanished?: true }
  /** `final`: no unit that the user has can come back. Otherwise units of the item are in checkout, perhaps the user's. */
  | {
      readonly kind: 'limit';
      readonly unitsPerUser: number;
      readonly owned: number;
      readonly final: boolean;
    }
  | { readonly kind: 'closed'; readonly when: 'not-open'; readonly opensAt: number }
  | { readonly kind: 'closed'; readonly when: 'over'; readonly closesAt: number }
  /** The purchase names what its buyer pays with, and the buyers of this sale pay themselves. */
  | { readonly kind: 'payment-named' }
  /** The item's ledger was never opened, or Redis has lost it. `known`: there is a stock key. */
  | { readonly kind: 'unopened'; readonly known: boolean };

/** The result of `reject`: the rejection is written, or there is an order or an attempt of this request by now. */
export type RejectResult =
  { readonly kind: 'rejected' } | Extract<HoldResult, { readonly kind: 'exists' | 'in-progress' }>;

/** What of an order its entry decides: a run goes on with these, whatever its record says. */
export type OrderInLedger = Pick<Order, 'orderId' | 'priceMinor' | 'currency'>;

/**
 * The result of `reserve`. `owed` lists the unresolved charges of earlier generations, in every case; workflow histories
 * contain the field, so it keeps its first name. `again`: the generation was open already, so it may have been charged.
 */
export type ReserveResult = {
  readonly owed: readonly number[];
  /** Absent in histories that are older than order ids, and where the id belongs to another request. */
  readonly order?: OrderInLedger;
  /** The entry's, where the order is at an end; a rebuild has it from the history. */
  readonly revision?: number;
} & (
  | {
      readonly kind: 'reserved';
      readonly generation: number;
      readonly again?: true;
      /** Its buyer has to pay by this time, in ms since the epoch; absent: the engine charges by itself. */
      readonly payBy?: number;
      /** The time until then, by the clock of Redis, in ms. Present with `payBy`. */
      readonly payLeftMs?: number;
    }
  | { readonly kind: 'sold'; readonly generation: number; readonly paymentId?: string }
  | { readonly kind: 'sold-out' }
  /** The buyer may have no more units of the item. */
  | { readonly kind: 'limit' }
  /** A first start met an order that was released before: it stays as it is, and has its dead letter. */
  | { readonly kind: 'ended'; readonly reason: ReleaseReason }
  /** A first start of a record so old that the ledger need not have its entry any more; nothing is reserved. */
  | { readonly kind: 'expired' }
  /** Too late: a later step, perhaps of a later run, has taken effect. */
  | { readonly kind: 'over' }
  /** The buyer has cancelled the order; nothing is reserved. */
  | { readonly kind: 'cancelled' }
  /** The id belongs to another request: this order never held anything. */
  | { readonly kind: 'mismatch' }
);

/** The answer of a step about an order that may have left the ledger: nothing was done, and only the archive knows it. */
export interface ArchivedResult {
  readonly kind: 'archived';
}

/** The run that asks to reserve. */
export interface ReservingRun {
  /**
   * `first`: the first start of a record, which may have been read again. `again`: a replay, a reset or a start by hand, which
   * tries a failed order again.
   */
  readonly start: 'first' | 'again';
  /** Empty where it is not known. */
  readonly runId: string;
  /** How long ago an order may have been accepted of which the ledger has no entry, in ms; for first starts. */
  readonly acceptedMsMax: number;
}

export interface ConfirmResult {
  readonly kind: 'sold' | 'lost';
  /** As in ReserveResult. */
  readonly revision?: number;
}

/** The result of `release`. `owed` lists all unresolved charges, and keeps its first name as in ReserveResult. */
export type ReleaseResult = {
  readonly owed: readonly number[];
  /** The entry's. */
  readonly orderId?: OrderId | undefined;
  /** As in ReserveResult. */
  readonly revision?: number;
} & (
  | {
      readonly kind: 'released';
      readonly generation: number;
      readonly cancelledByBuyer?: true;
    }
  | { readonly kind: 'sold'; readonly generation: number; readonly paymentId?: string }
);

/** The result of `cancel`, with the entry as it is afterwards. */
export type CancelResult =
  /** No entry, or only held: no order was accepted. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'not-the-buyer' }
  | {
      /** `under-way`: reserved and marked; the caller has to tell its workflow. `sold` and `failed` orders stay as they are. */
      readonly kind: 'cancelled' | 'under-way' | 'sold' | 'failed';
      readonly entry: LedgerEntry;
    };

/** The errors with which a script refuses to work on a ledger that was lost, or written by hand and cannot be read. */
const UNREADABLE = /^(?:NOLEDGER|BADSTOCK|BADSALE) /;

/** Whether a call failed because of its item's ledger, so that only an operator can mend it. */
export function isLedgerUnreadable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return UNREADABLE.test(error.message) || isLedgerUnreadable(error.cause);
}

/**
 * The order with the id and the price of its entry, whatever its record says. A run that was not told is older than order
 * ids.
 */
export function inLedger(order: Order, entry: OrderInLedger | undefined): Order {
  const { orderId, priceMinor = order.priceMinor, currency = order.currency } = entry ?? {};
  return { ...order, orderId, priceMinor, currency };
}
