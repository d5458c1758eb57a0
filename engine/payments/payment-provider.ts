/** One attempt to take money. `key` names it for ever: the same key is at most one charge. */
export interface Charge {
  readonly key: string;
  /** Minor units of the currency, above 0. */
  readonly amountMinor: number;
  /** ISO 4217, upper case. */
  readonly currency: string;
  /** Opaque ids only: what the provider shows beside the charge. */
  readonly context: {
    readonly requestId: string;
    readonly itemId: string;
    readonly userId: string;
  };
}

export type ChargeAnswer =
  | { readonly kind: 'charged'; readonly paymentId: string }
  /** A definite no: no money moved and none will under this key. `code` is the provider's word for why. */
  | { readonly kind: 'declined'; readonly code: string };

/**
 * What the engine needs of whoever moves the money. Every method throws when there is no definite
 * answer (a failure to retry), and may be called again with the same key at any time.
 */
export interface PaymentProvider {
  /** Takes the money once per key. A key that was charged or declined before answers as it did then. */
  charge(charge: Charge): Promise<ChargeAnswer>;
  /** What became of a key; undefined when the provider never saw it. A refunded or blocked key is `declined`. */
  find(key: string): Promise<ChargeAnswer | undefined>;
  /**
   * Makes sure that the key holds no money and never will: voids or refunds a charge, and blocks a key
   * that was never seen, so that a charge still on its way cannot succeed. `nothing`: there was no money.
   */
  refund(key: string): Promise<'refunded' | 'nothing'>;
}
