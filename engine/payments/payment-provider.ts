import type { BuyerPayment } from '../orders/order';

/** One attempt to take money. The same key is at most one charge, for ever. */
export interface Charge {
  readonly key: string;
  /** Minor units of the currency, above 0. */
  readonly amountMinor: number;
  /** ISO 4217, upper case. */
  readonly currency: string;
  /** No earlier call can have named the key before this time, in ms since the epoch by a clock an hour off at most. */
  readonly keySince: number;
  /** Opaque ids that the provider shows with the charge; no personal data. */
  readonly context: {
    readonly requestId: string;
    readonly itemId: string;
    readonly userId: string;
  };
  /** What the buyer pays with, where the shop has named it with the purchase. */
  readonly payment?: BuyerPayment | undefined;
}

export type ChargeResult =
  | { readonly kind: 'charged'; readonly paymentId: string }
  /** Final: no money moved, and none will under this key. `code` is the provider's reason. */
  | { readonly kind: 'declined'; readonly code: string };

/** A payment that its buyer can still make, or whose outcome the provider does not know yet. */
export interface PendingPayment {
  readonly kind: 'pending';
}

/** A charge that was looked up, with what was taken. */
export type FoundCharge =
  | (Extract<ChargeResult, { readonly kind: 'charged' }> & Pick<Charge, 'amountMinor' | 'currency'>)
  | Extract<ChargeResult, { readonly kind: 'declined' }>
  | PendingPayment;

/**
 * The payment port. Every method may be called again with the same key at any time, and throws when it has no definite
 * result; the caller then retries.
 */
export interface PaymentProvider {
  /** Takes the money once per key. A key that was charged or declined before returns the same result. */
  charge(charge: Charge): Promise<ChargeResult>;
  /**
   * The state of a key; undefined when the provider never saw it. A refunded or blocked key is `declined`. `keySince` as in a
   * charge; absent: the key may be of any age.
   */
  find(key: string, keySince?: number): Promise<FoundCharge | undefined>;
  /**
   * Makes sure that the key holds no money and never will: voids or refunds a charge, and blocks a key that was never
   * seen, so that a charge still on its way fails. `nothing`: there was no money. `keySince` as in `find`.
   */
  refund(key: string, keySince?: number): Promise<'refunded' | 'nothing'>;
}

/**
 * What the buyer's page needs to pay. Whoever has it can pay or see the order's price: it goes to the order's owner alone and is
 * stored nowhere.
 */
export type PaymentPage =
  | { readonly provider: 'simulator'; readonly url: string }
  | {
      readonly provider: 'stripe';
      readonly clientSecret: string;
      /** Absent where none is configured: the shop's page has its own. */
      readonly publishableKey?: string;
    };

export type CheckoutResult =
  (PendingPayment & { readonly page: PaymentPage }) | Exclude<FoundCharge, PendingPayment>;

/** Payments that buyers make themselves. A key is either charged or paid by its buyer, never both. */
export interface CheckoutProvider {
  /**
   * Opens the payment of a key, or reads it where it is open, and returns what the buyer's page needs: only once the payment has
   * the amount of the charge. A card that is declined leaves the payment pending: the buyer may try another. Throws where the
   * key has another amount or currency.
   */
  checkout(charge: Charge): Promise<CheckoutResult>;
  /**
   * Ends a payment that the buyer has not made, and blocks a key that was never seen: after `declined` none can be made under the
   * key, for ever. `charged`: the buyer was faster. `pending`: it can neither be ended nor is it decided, as while a bank thinks.
   * Never gives money back.
   */
  cancel(key: string, keySince?: number): Promise<FoundCharge>;
}

/** Gives back, on purpose, what was paid for a sold order: some of it or all. */
export interface SaleRefund {
  /** The payment key of the sale. */
  readonly key: string;
  readonly keySince?: number;
  /** The provider's id of the payment, where it is known. */
  readonly paymentId?: string | undefined;
  /** Names this refund for ever: asked for again, it is the same refund. */
  readonly refundKey: string;
  /** Minor units of the currency of the sale; absent: all that is left. */
  readonly amountMinor?: number;
  /** ISO 4217, of the sale: an amount in another one is refused. */
  readonly currency: string;
}

export type RefundStatus = 'pending' | 'succeeded' | 'failed';

/** One refund as the provider has it, whoever made it. */
export interface RefundState {
  readonly refundId: string;
  /** Absent where it was made in the provider's own dashboard, or by `refund`. */
  readonly refundKey?: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly status: RefundStatus;
  /** When it was made, in ms since the epoch. */
  readonly at: number;
  /** Why it failed. */
  readonly code?: string;
}

/** A buyer's objection at the bank. */
export interface DisputeState {
  readonly disputeId: string;
  readonly amountMinor: number;
  readonly currency: string;
  /** `open` until the bank has decided. */
  readonly status: 'open' | 'won' | 'lost';
  readonly at: number;
  /** The provider's word, such as fraudulent. */
  readonly reason?: string;
}

/** What every provider says of a refund under a key that, as far as it knows, was never paid. */
export const NOT_CHARGED = 'not_charged';

/** What happens to the money after a sale. */
export interface AfterSaleProvider {
  /**
   * Makes one refund, once for its refund key. `refused`: the provider will never make it, such as one of more than is left;
   * `code` says why. A pending or succeeded refund may still fail later, and `returns` then says so.
   */
  refundSale(
    refund: SaleRefund,
  ): Promise<RefundState | { readonly kind: 'refused'; readonly code: string }>;
  /** All refunds and disputes of a key's payment, the oldest first. `paymentId` as in a refund. */
  returns(
    key: string,
    keySince?: number,
    paymentId?: string,
  ): Promise<{
    readonly refunds: readonly RefundState[];
    readonly disputes: readonly DisputeState[];
  }>;
}

/**
 * Something has happened at the provider. It is a hint and never the truth: it may be late, doubled, out of order or lost, so
 * whoever gets one asks the provider by the key.
 */
export interface PaymentHint {
  /** `ended`: it was cancelled, or has failed for good. `returns`: a refund or a dispute has changed. */
  readonly kind: 'paid' | 'ended' | 'returns';
  readonly key: string;
  readonly requestId: string;
  readonly itemId: string;
}

/** One entry of the provider's own list of events. */
export interface PaymentEvent {
  readonly id: string;
  /** When the provider has made it, in ms since the epoch. */
  readonly at: number;
  /** Absent where the event is none of the engine's, or of a kind that changes nothing. */
  readonly hint?: PaymentHint;
}

/** A webhook whose signature is missing, wrong or too old, or whose body is no event. `message` is for the sender. */
export class InvalidWebhookError extends Error {}

export interface PaymentEvents {
  /**
   * Reads a webhook: its body as it was received, and its signature header. Throws InvalidWebhookError, before any request to
   * the provider. One is made where the event does not name the key.
   */
  readWebhook(body: Buffer, header: (name: string) => string | undefined): Promise<PaymentEvent>;
  /**
   * A page of the provider's list of events from a time on, in ms since the epoch, the oldest first; events of the same second
   * may be repeated. The next page begins at `next`; undefined: there is no more yet. An event may appear late, behind ones
   * that were made after it: the reader asks for the last minute again.
   */
  listEvents(
    since: number,
  ): Promise<{ readonly events: readonly PaymentEvent[]; readonly next?: number }>;
}
