/**
 * Money that a sale has lost again, or may lose: a refund, whoever has made it, or a buyer's dispute at the bank. Amounts are
 * in minor units of the sale's currency.
 */
export interface SaleReturn {
  readonly kind: 'refund' | 'dispute';
  /** The provider's. */
  readonly id: string;
  /** Of a refund that an operator has asked the engine for. */
  readonly operationId?: string;
  readonly amountMinor: number;
  readonly status: (typeof RETURN_STATUSES)[SaleReturn['kind']][number];
  /** When it was made, in ms since the epoch. */
  readonly at: number;
  /** Why the refund failed; the bank's word for the dispute. */
  readonly reason?: string;
}

/** In the order of its life: one that comes later in the list replaces one before it, whatever was read first. */
export const RETURN_STATUSES = {
  refund: ['pending', 'succeeded', 'failed'],
  dispute: ['open', 'won', 'lost'],
} as const;

/** What of `read` is not known yet. */
export function newReturns(
  read: readonly SaleReturn[],
  known: readonly SaleReturn[] = [],
): SaleReturn[] {
  return read.filter((one) => {
    const before = known.find(({ kind, id }) => kind === one.kind && id === one.id);
    return !before || rankOf(one) > rankOf(before);
  });
}

/** Of two of the same kind and id, the one with the larger rank counts. */
export function rankOf({ kind, status }: Pick<SaleReturn, 'kind' | 'status'>): number {
  return (RETURN_STATUSES[kind] as readonly string[]).indexOf(status);
}

/** What was given back, or is about to be. */
export function refundedMinor(returns: readonly SaleReturn[] = []): number {
  return returns
    .filter(({ kind, status }) => kind === 'refund' && status !== 'failed')
    .reduce((sum, { amountMinor }) => sum + amountMinor, 0);
}
