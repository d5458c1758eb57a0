import type { LedgerEntry } from '../../orders/ledger';
import type { ItemId, RequestId } from '../../orders/order';
import type { RedisConnection } from '../../../platform/redis';
import { countsKey, freeUnitsKey, itemKeys, ordersKey } from '../keys';
import { defineLedgerScripts } from '../scripts';
import { formatEntry, readEntry } from '../stored-entry';

/** Who changes a ledger by hand, and why: kept in its stream of events. */
export interface ByHand {
  readonly by: string;
  readonly why: string;
}

/** A number that is kept beside the entries and should be the sum of them: a state, "buyer <user>", "lease <id>". */
export interface CountDifference {
  readonly field: string;
  readonly there: number;
  readonly should: number;
}

export type RebuildResult =
  | ({ readonly kind: 'rebuilt' } & Readonly<
      Record<'free' | 'queued' | 'reserved' | 'sold' | 'supply', number>
    >)
  /** The supply that was named does not cover what the orders hold. */
  | { readonly kind: 'too-small'; readonly needed: number }
  | { readonly kind: 'open' };

/** The ledger as its keepers use it. All methods throw when Redis gives no definite answer; every one may be sent again. */
export interface LedgerMaintenance {
  /** The item's stock key as it stands, and whether its ledger is open. */
  standing(itemId: ItemId): Promise<{ readonly free: string | null; readonly open: boolean }>;
  /** All entries, page by page: what changes meanwhile may be seen before or after the change, or twice. */
  entries(itemId: ItemId): AsyncIterable<readonly StoredOrder[]>;
  entry(itemId: ItemId, requestId: RequestId): Promise<StoredOrder['entry'] | undefined>;
  /** Compares in one instant what is counted with the entries. Throws for an entry that no script has written. */
  compareCounts(itemId: ItemId): Promise<readonly CountDifference[]>;
  /** Writes what the entries say; answers what differed. */
  mendCounts(itemId: ItemId, who: ByHand): Promise<readonly CountDifference[]>;
  /** Gives back what every hold has left whose lease is over. */
  reclaimExpired(itemId: ItemId): Promise<void>;
  /** Puts a ledger in the place of a lost one and opens it; nothing happens where a ledger is open. */
  rebuild(
    itemId: ItemId,
    ledger: {
      readonly token: string;
      readonly given: 'free' | 'supply';
      readonly units: number;
      readonly entries: ReadonlyMap<RequestId, LedgerEntry>;
    } & ByHand,
  ): Promise<RebuildResult>;
  /** Opens a ledger as it stands in Redis; its counts are made to agree with its entries. */
  accept(itemId: ItemId, token: string, who: ByHand): Promise<void>;
}

export interface StoredOrder {
  readonly requestId: RequestId;
  readonly entry: LedgerEntry | { readonly fault: string };
}

/** Entries of one page: a few hundred KB. */
const PAGE_SIZE = 500;

/** The keepers' side of the ledger on Redis. */
export function createLedgerMaintenance(redis: RedisConnection): LedgerMaintenance {
  defineLedgerScripts(redis);
  const recount = async (itemId: ItemId, mode: 'look' | 'mend' | 'accept', ...args: string[]) => {
    const [token = '', by = '', why = ''] = args;
    return differences(await redis.ledgerRecount(...itemKeys(itemId), mode, token, by, why));
  };
  return {
    standing: async (itemId) => ({
      free: await redis.get(freeUnitsKey(itemId)),
      open: (await redis.hexists(countsKey(itemId), 'opened')) === 1,
    }),
    async *entries(itemId) {
      let cursor = '0';
      do {
        const [next, page] = await redis.hscan(ordersKey(itemId), cursor, 'COUNT', PAGE_SIZE);
        const orders: StoredOrder[] = [];
        for (let i = 0; i < page.length; i += 2) {
          const entry = readEntry(page[i + 1] ?? '');
          orders.push({ requestId: page[i] as RequestId, entry });
        }
        yield orders;
        cursor = next;
      } while (cursor !== '0');
    },
    entry: async (itemId, requestId) => {
      const raw = await redis.hget(ordersKey(itemId), requestId);
      return raw === null ? undefined : readEntry(raw);
    },
    compareCounts: (itemId) => recount(itemId, 'look'),
    mendCounts: (itemId, { by, why }) => recount(itemId, 'mend', '', by, why),
    reclaimExpired: async (itemId) => {
      while (Number(await redis.ledgerReclaim(...itemKeys(itemId))) > 0);
    },
    rebuild: async (itemId, { token, given, units, entries, by, why }) => {
      const orders = [...entries].flatMap(([requestId, entry]) => [requestId, formatEntry(entry)]);
      const reply = await redis.ledgerRebuild(
        ...itemKeys(itemId),
        ...[token, given, units, by, why, ...orders],
      );
      return rebuildAnswer(reply);
    },
    accept: async (itemId, token, { by, why }) => {
      await recount(itemId, 'accept', token, by, why);
    },
  };
}

function differences(reply: unknown): CountDifference[] {
  const flat = reply as string[];
  if (flat[0] === '!') {
    throw new Error(`The entry of ${flat[1] ?? ''} ${flat[2] ?? ''}: nothing was changed`);
  }
  const found: CountDifference[] = [];
  for (let i = 0; i < flat.length; i += 3) {
    found.push({ field: flat[i] ?? '', there: Number(flat[i + 1]), should: Number(flat[i + 2]) });
  }
  return found;
}

function rebuildAnswer(reply: unknown): RebuildResult {
  const [kind, ...numbers] = reply as [string, ...number[]];
  const [free = 0, queued = 0, reserved = 0, sold = 0, supply = 0] = numbers.map(Number);
  if (kind === 'rebuilt') return { kind, free, queued, reserved, sold, supply };
  return kind === 'too-small' ? { kind, needed: free } : { kind: 'open' };
}
