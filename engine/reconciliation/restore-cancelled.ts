import type { Cancellations } from '../kafka/read-log';
import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, RequestId } from '../orders/order';
import type { ClaimOrder } from '../stock/claims';
import type { LedgerMaintenance } from '../stock/ledger-maintenance';
import { forEachConcurrently } from './order-runs';
import { cancelledEntry } from './restored-entry';

/** Entries of one call to Redis, and the calls for them at once. */
const CHUNK = 500;
const CONCURRENCY = 100;

/**
 * Writes the cancelled orders of an item into its lost ledger, before it is opened as it stands: their records may still be
 * in the log and their workflows in Temporal, which would sell them. Changes no order that is sold. May be repeated.
 */
export async function restoreCancelled(
  {
    repair,
    readCancellations,
    claim,
  }: {
    readonly repair: Pick<LedgerMaintenance, 'entry' | 'restoreEntries'>;
    readonly readCancellations: (itemId: ItemId) => Promise<Cancellations>;
    readonly claim: ClaimOrder;
  },
  itemId: ItemId,
): Promise<void> {
  const cancellations = [...(await readCancellations(itemId)).values()];
  for (let start = 0; start < cancellations.length; start += CHUNK) {
    const entries = new Map<RequestId, LedgerEntry>();
    await forEachConcurrently(
      cancellations.slice(start, start + CHUNK),
      CONCURRENCY,
      async (cancellation) => {
        const { requestId, fingerprint } = cancellation.order;
        const stored = await repair.entry(itemId, requestId);
        // The opening refuses an entry that cannot be read.
        if (stored && 'problem' in stored) return;
        entries.set(requestId, cancelledEntry(cancellation, stored));
        await claim({ requestId, itemId, fingerprint });
      },
    );
    await repair.restoreEntries(itemId, entries);
  }
}
