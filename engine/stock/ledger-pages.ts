import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, RequestId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { eventsKey, ordersKey } from './keys';
import { parseEvents, readEntry } from './stored-entry';

export interface StoredOrder {
  readonly requestId: RequestId;
  readonly entry: LedgerEntry | { readonly problem: string };
}

/** Entries of one page: a few hundred KB. */
const PAGE_SIZE = 500;

/** The entries of ledgers, page by page. Every method throws when Redis gives no definite answer. */
export function createLedgerPages(redis: RedisConnection) {
  const entriesOf = async (itemId: ItemId, requestIds: readonly RequestId[]) => {
    if (requestIds.length === 0) return [];
    const stored = await redis.hmget(ordersKey(itemId), ...requestIds);
    return requestIds.flatMap((requestId, index): StoredOrder[] => {
      const raw = stored[index];
      return typeof raw === 'string' ? [{ requestId, entry: readEntry(raw) }] : [];
    });
  };

  /** Whether the stream still has every change of an item since a time. */
  const reachesBackTo = async (itemId: ItemId, sinceMs: number): Promise<boolean> => {
    const key = eventsKey(itemId);
    if ((await redis.exists(key)) === 0) return false;
    const info = (await redis.xinfo('STREAM', key)) as unknown[];
    const of = (name: string) => Number(info[info.indexOf(name) + 1]);
    if (of('entries-added') === of('length')) return true;
    const [first] = await redis.xrange(key, '-', '+', 'COUNT', 1);
    return first !== undefined && Number(first[0].split('-')[0]) < sinceMs;
  };

  return {
    /** A page of entries and the cursor of the next one, "0" after the last. An entry that changes meanwhile may come twice. */
    async page(
      itemId: ItemId,
      cursor: string,
    ): Promise<{ readonly orders: readonly StoredOrder[]; readonly next: string }> {
      const [next, page] = await redis.hscan(ordersKey(itemId), cursor, 'COUNT', PAGE_SIZE);
      const orders: StoredOrder[] = [];
      for (let i = 0; i < page.length; i += 2) {
        const entry = readEntry(page[i + 1] ?? '');
        orders.push({ requestId: page[i] as RequestId, entry });
      }
      return { orders, next };
    },

    /**
     * A page of the orders that have changed, from the item's stream; `from` is a time in ms since the epoch, or the place where
     * the page before ended. `trimmed`: the stream does not go back so far.
     */
    async changes(
      itemId: ItemId,
      from: string,
    ): Promise<{ readonly orders: readonly StoredOrder[]; readonly next?: string } | 'trimmed'> {
      if (!(await reachesBackTo(itemId, Number(from.replace('(', '').split('-')[0])))) {
        return 'trimmed';
      }
      const page = await redis.xrange(eventsKey(itemId), from, '+', 'COUNT', PAGE_SIZE);
      const changed = page.flatMap(([, fields]) =>
        parseEvents(fields).flatMap(({ order }) => order?.requestId ?? []),
      );
      const orders = await entriesOf(itemId, [...new Set(changed)] as RequestId[]);
      const last = page.length === PAGE_SIZE ? page.at(-1)?.[0] : undefined;
      return { orders, ...(last !== undefined && { next: `(${last}` }) };
    },

    /** The entries that these orders have. */
    entries: entriesOf,

    /** How many entries an item has. */
    size: (itemId: ItemId): Promise<number> => redis.hlen(ordersKey(itemId)),

    /** Which of these orders, some hundreds at most, have no entry. */
    async withoutEntry(
      itemId: ItemId,
      requestIds: readonly RequestId[],
    ): Promise<readonly RequestId[]> {
      if (requestIds.length === 0) return [];
      const raw = await redis.hmget(ordersKey(itemId), ...requestIds);
      return requestIds.filter((_, index) => raw[index] === null);
    },

    async entry(itemId: ItemId, requestId: RequestId): Promise<StoredOrder['entry'] | undefined> {
      const raw = await redis.hget(ordersKey(itemId), requestId);
      return raw === null ? undefined : readEntry(raw);
    },
  };
}
