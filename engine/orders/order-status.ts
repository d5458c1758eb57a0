import type { LedgerEntry } from './ledger';
import type { ReleaseReason } from './order';

/** An order's status as its buyer sees it. */
export type OrderStatus = 'queued' | 'reserved' | 'confirmed' | 'failed' | 'cancelled';

/**
 * The buyer's view of a ledger entry, or undefined while the order is only held: it has not been
 * accepted, so for its buyer it does not exist yet.
 */
export function orderStatus(entry: Pick<LedgerEntry, 'state' | 'reason'>): OrderStatus | undefined {
  switch (entry.state) {
    case 'held':
      return undefined;
    case 'queued':
      return 'queued';
    case 'reserved':
      return 'reserved';
    case 'sold':
      return 'confirmed';
    case 'released':
      return entry.reason === 'cancelled' ? 'cancelled' : 'failed';
  }
}

/** Whether nothing more will happen to the order unless somebody retries it. */
export function isFinal(status: OrderStatus): boolean {
  return status === 'confirmed' || status === 'failed' || status === 'cancelled';
}

/** The key a provider knows a charge by. A new generation is a fresh try; a reset run is not. */
export function paymentKey(requestId: string, generation: number): string {
  return `${requestId}:${String(generation)}`;
}

/** The reason as the outside reads it: only failed orders have one. */
export function failureReason(entry: Pick<LedgerEntry, 'state' | 'reason'>): ReleaseReason | null {
  return entry.state === 'released' ? (entry.reason ?? null) : null;
}
