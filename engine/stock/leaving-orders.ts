import { ownedUnits } from '../orders/ledger';
import type { ItemId, OrderId, RequestId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { countsKey, itemKeys, ordersKey } from './keys';
import { asOneArgument, defineLedgerScripts } from './scripts';
import { notOpen } from './stock-ledger';
import { readEntry } from './stored-entry';

/** The end of an order, as the archive was told of it. */
export interface OrderEnd {
  readonly requestId: RequestId;
  readonly orderId: OrderId;
  readonly revision: number;
  /** Units of a refunded sale that were put back; absent: none. */
  readonly restocked?: number;
}

/** What has become of an order that is to leave the ledger: `gone` before, or it stays, since it is not at that end. */
export type ArchiveOutcome = 'removed' | 'gone' | 'stays';

export type LeavingOrders = ReturnType<typeof createLeavingOrders>;

/** Removes finished orders from ledgers. Both methods may be called again, and throw when Redis gives no definite answer. */
export function createLeavingOrders(redis: RedisConnection) {
  defineLedgerScripts(redis, ['ledgerArchive']);
  return {
    /**
     * What would become of some hundred orders by `archive`, and the fingerprints of their entries. Throws for a ledger that is
     * not open, whose entries may come back.
     */
    async archivable(
      itemId: ItemId,
      ends: readonly OrderEnd[],
    ): Promise<readonly { readonly outcome: ArchiveOutcome; readonly fingerprint?: string }[]> {
      const replies = await redis
        .multi()
        .hmget(ordersKey(itemId), ...ends.map((end) => end.requestId))
        .hget(countsKey(itemId), 'opened')
        .exec();
      const [stored, opened] = (replies ?? []).map(([error, value]) => {
        if (error) throw error;
        return value;
      });
      if (typeof opened !== 'string') throw notOpen(itemId);
      const entries = stored as readonly (string | null)[];
      return ends.map(({ orderId, revision, restocked = 0 }, index) => {
        const raw = entries[index];
        if (typeof raw !== 'string') return { outcome: 'gone' };
        const entry = readEntry(raw);
        if ('problem' in entry) return { outcome: 'stays' };
        if (entry.orderId !== orderId) return { outcome: 'gone' };
        const isEnded = entry.state === 'sold' || entry.state === 'released';
        const isSettled = entry.unresolvedCharges.length === 0;
        const isIt =
          isEnded &&
          isSettled &&
          entry.revision === revision &&
          entry.units - ownedUnits(entry) === restocked;
        return { outcome: isIt ? 'removed' : 'stays', fingerprint: entry.fingerprint };
      });
    },

    /**
     * Removes some hundred orders that the archive has: their claims are marked before. `counting`: nothing is removed while
     * buyers are counted from the archive.
     */
    async archive(
      itemId: ItemId,
      ends: readonly OrderEnd[],
    ): Promise<readonly ArchiveOutcome[] | 'counting'> {
      const orders = ends.map(
        ({ requestId, orderId, revision, restocked = 0 }) =>
          `${requestId} ${orderId} ${String(revision)} ${String(restocked)}`,
      );
      const reply = await redis.ledgerArchive(...itemKeys(itemId), asOneArgument(orders));
      if (reply === 'counting') return reply;
      return (reply as number[]).map((one) => ARCHIVE_OUTCOMES[one] ?? 'stays');
    },
  };
}

const ARCHIVE_OUTCOMES: readonly ArchiveOutcome[] = ['gone', 'removed', 'stays'];
