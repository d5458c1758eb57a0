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

/** A charge that was looked up, with what was taken. */
export type FoundCharge =
  | (Extract<ChargeResult, { readonly kind: 'charged' }> & Pick<Charge, 'amountMinor' | 'currency'>)
  | Extract<ChargeResult, { readonly kind: 'declined' }>;

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
   * seen, so that a charge still on its way fails. `nothing`: there was no money.
   */
  refund(key: string): Promise<'refunded' | 'nothing'>;
}
