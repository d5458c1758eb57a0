import { randomUUID } from 'node:crypto';
import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { archivedUnitsKey, buyersKey, countedUnitsKey, itemKeys, operationsKey } from './keys';
import { integer, list, unexpected } from './results';
import { asOneArgument, defineLedgerScripts } from './scripts';

/** One restock. Sent twice under one `operationId`, it has one effect. */
export interface Restock {
  readonly itemId: ItemId;
  readonly operationId: string;
  /** Whole units: to add, at least 1; or free from now on, at least 0. At most RESTOCK_UNITS_MAX. */
  readonly units: { readonly add: number } | { readonly free: number };
  /** The free units that the operator has seen: with any other number, nothing is changed. */
  readonly expectedFree?: number | undefined;
  /** The operator. */
  readonly by: string;
}

export type RestockResult =
  | {
      readonly kind: 'restocked';
      /** Free units. */
      readonly before: number;
      readonly after: number;
      /** All units ever put on sale, right after it. Absent for an operation that was remembered without it. */
      readonly supply?: number;
      readonly isNewItem: boolean;
      /** This operation was carried out before; this call did nothing. */
      readonly wasDoneBefore: boolean;
    }
  /** There are not as many free units as the operator has seen. */
  | { readonly kind: 'stale'; readonly free: number }
  /** The id was used before, for another restock. */
  | { readonly kind: 'operation-reused' }
  /** More free units than the ledger can count. */
  | { readonly kind: 'too-many' }
  | Unreadable;

/** An absent field stays as it is; null removes it. */
export interface SaleChange {
  readonly priceMinor?: number | null;
  readonly currency?: string | null;
  readonly unitsPerUser?: number | null;
  /** Milliseconds since the epoch, at most SALE_TIME_MAX. */
  readonly opensAt?: number | null;
  readonly closesAt?: number | 'now' | null;
  /** PAY_WITHIN_MS_MIN to _MAX; null: the engine charges by itself. */
  readonly payWithinMs?: number | null;
}

export type SaleChangeResult =
  /** The fields of the sale, as Redis has them. */
  | { readonly kind: 'changed'; readonly before: SaleFields; readonly after: SaleFields }
  | { readonly kind: 'unknown-item' }
  /** There are not as many free units as the operator has seen. */
  | { readonly kind: 'stale'; readonly free: number }
  /** The sale would end before it starts. */
  | { readonly kind: 'window'; readonly opensAt: number; readonly closesAt: number }
  /** So many users own more than the limit, one of them `most` units. */
  | { readonly kind: 'units-owned'; readonly users: number; readonly most: number }
  /** Buyers of orders that have left the ledger count as well, and the caller has no archive to count them. */
  | { readonly kind: 'uncounted' }
  | Unreadable;

export type SaleFields = Readonly<Record<string, string>>;

/** The item's stock or sale was written by hand and cannot be read; `detail` says what is there. */
export interface Unreadable {
  readonly kind: 'unreadable';
  readonly detail: string;
}

/** As long as an accepted order's claim: after a week, nobody repeats a restock and means the old one. */
const OPERATION_RETENTION_MS = 7 * 24 * 3_600_000;

export type StockOperations = ReturnType<typeof createStockOperations>;

/**
 * What operators change of an item; the caller has checked the values. Every method may be sent again, and throws when
 * Redis gives no definite answer.
 */
export function createStockOperations(
  redis: RedisConnection,
  {
    soldOrders,
  }: {
    /** The sold orders of an item that the archive has, page by page. Absent: there is no archive. */
    readonly soldOrders?: SoldOrders | undefined;
  } = {},
) {
  defineLedgerScripts(redis);
  return {
    restock({ itemId, operationId, units, expectedFree, by }: Restock): Promise<RestockResult> {
      const [mode, number] = 'add' in units ? ['add', units.add] : ['set', units.free];
      const keys = [...itemKeys(itemId), operationsKey(itemId)];
      const args = [operationId, mode, number, by, OPERATION_RETENTION_MS, expectedFree ?? ''];
      return orUnreadable(redis.ledgerRestock(...keys, ...args).then(parseRestockResult));
    },

    /**
     * Applies the whole change or nothing. `force`: also where users own more than the new limit. `expectedFree`: the free
     * units that the operator has seen; with any other number, nothing is changed.
     */
    changeSale(
      itemId: ItemId,
      sale: SaleChange,
      {
        by,
        force = false,
        expectedFree,
      }: {
        readonly by: string;
        readonly force?: boolean;
        readonly expectedFree?: number | undefined;
      },
    ): Promise<SaleChangeResult> {
      const { priceMinor, currency, unitsPerUser, opensAt, closesAt, payWithinMs } = sale;
      const fields = [priceMinor, currency, unitsPerUser, opensAt, closesAt, payWithinMs];
      const send = (isAllowed: boolean) => {
        const args = [...fields.map(saleArgument), isAllowed ? 1 : 0, by, expectedFree ?? ''];
        return redis.ledgerChangeSale(...itemKeys(itemId), ...args).then(parseSaleChangeResult);
      };
      const change = async (): Promise<SaleChangeResult> => {
        let result = await send(force);
        if (result.kind === 'uncounted' && soldOrders) {
          await countBuyers(redis, itemId, soldOrders);
          result = await send(force);
        }
        if (result.kind !== 'many-buyers') return result;
        const above = await findAbove(redis, itemId, result.limit);
        if (above.users > 0) return { kind: 'units-owned', ...above };
        // Whoever buys between the look and the change owns what the old limit allowed, like every earlier buyer.
        const changed = await send(true);
        if (changed.kind === 'many-buyers') throw unexpected(changed.kind);
        return changed;
      };
      return orUnreadable(change());
    },
  };
}

/** Sold orders, as the archive has them. */
export type SoldOrders = (itemId: ItemId) => AsyncIterable<
  readonly {
    readonly requestId: string;
    readonly orderId: string;
    readonly userId: string;
    readonly amount: number;
    /** Units that were put back with a refund; absent: none. */
    readonly restocked?: number;
  }[]
>;

/**
 * Counts the units of archived orders by user. No order leaves the ledger meanwhile. Throws where the archive does not have all
 * of them, as after the restore of a backup. May be repeated.
 */
async function countBuyers(
  redis: RedisConnection,
  itemId: ItemId,
  soldOrders: SoldOrders,
): Promise<void> {
  const id = randomUUID();
  const step = async (
    name: 'begin' | 'add' | 'finish',
    page = 0,
    orders: readonly string[] = [],
  ) => {
    const keys = [...itemKeys(itemId), countedUnitsKey(itemId)];
    const reply = await redis.ledgerCountBuyers(...keys, id, name, page, asOneArgument(orders));
    if (reply === 'behind') {
      throw new Error(`The archive does not have yet which units of ${itemId} were put back`);
    }
    if (reply === 'missing') {
      throw new Error(`The archive misses sold orders of ${itemId} that have left the ledger`);
    }
    if (reply !== 'counted') throw new Error(`Another count of the buyers of ${itemId} has begun`);
  };
  await step('begin');
  let page = 0;
  for await (const orders of soldOrders(itemId)) {
    page += 1;
    const words = orders.map(
      ({ requestId, orderId, userId, amount, restocked = 0 }) =>
        `${requestId} ${orderId} ${userId} ${amount} ${restocked}`,
    );
    await step('add', page, words);
  }
  await step('finish');
}

/** As the script takes it: empty leaves the field as it is, a dash removes it. */
function saleArgument(value: string | number | null | undefined): string | number {
  return value === undefined ? '' : (value ?? '-');
}

function parseRestockResult(reply: unknown): RestockResult {
  const [kind, before, after, isNewItem, wasDoneBefore, supply] = list(reply);
  switch (kind) {
    case 'restocked':
      return {
        kind,
        before: integer(before),
        after: integer(after),
        ...(integer(supply) >= 0 && { supply: integer(supply) }),
        isNewItem: integer(isNewItem) === 1,
        wasDoneBefore: integer(wasDoneBefore) === 1,
      };
    case 'stale':
      return { kind, free: integer(before) };
    case 'operation-reused':
    case 'too-many':
      return { kind };
    default:
      throw unexpected(reply);
  }
}

/** Buyers of one page. */
const PAGE_SIZE = 1_000;

/** The users who own more than `limit`, and the units of the one with the most. */
async function findAbove(redis: RedisConnection, itemId: ItemId, limit: number) {
  const above = new Set<string>();
  let most = 0;
  const live = buyersKey(itemId);
  const archived = archivedUnitsKey(itemId);
  for (const [key, other] of [
    [live, archived],
    [archived, live],
  ] as const) {
    let cursor = '0';
    do {
      const [next, page] = await redis.hscan(key, cursor, 'COUNT', PAGE_SIZE);
      const users = page.filter((_, index) => index % 2 === 0);
      const more = users.length > 0 ? await redis.hmget(other, ...users) : [];
      for (const [index, user] of users.entries()) {
        const units = Number(page[2 * index + 1]) + Number(more[index] ?? 0);
        if (units <= limit) continue;
        above.add(user);
        most = Math.max(most, units);
      }
      cursor = next;
    } while (cursor !== '0');
  }
  return { users: above.size, most };
}

function parseSaleChangeResult(
  reply: unknown,
): SaleChangeResult | { readonly kind: 'many-buyers'; readonly limit: number } {
  const [kind, first, second] = list(reply);
  switch (kind) {
    case 'many-buyers':
      return { kind, limit: integer(first) };
    case 'changed':
      return { kind, before: saleFields(first), after: saleFields(second) };
    case 'unknown-item':
    case 'uncounted':
      return { kind };
    case 'stale':
      return { kind, free: integer(first) };
    case 'window':
      return { kind, opensAt: integer(first), closesAt: integer(second) };
    case 'units-owned':
      return { kind, users: integer(first), most: integer(second) };
    default:
      throw unexpected(reply);
  }
}

/** Names and values in turn. */
function saleFields(reply: unknown): SaleFields {
  const flat = list(reply).map(String);
  const names = flat.filter((_, at) => at % 2 === 0);
  return Object.fromEntries(names.map((name, at) => [name, flat[2 * at + 1] ?? '']));
}

/** The scripts' own errors, with a sentence for people; the server adds where in the script it was raised. */
const UNREADABLE = /^(?:BADSTOCK|BADSALE) (.+?)(?: script: .*)?$/;

/** Turns the error of a script that met a mistyped stock or sale into a result. Other errors are thrown. */
export function orUnreadable<T>(result: Promise<T>): Promise<T | Unreadable> {
  return result.catch((error: unknown) => {
    const detail = error instanceof Error ? UNREADABLE.exec(error.message)?.[1] : undefined;
    if (detail !== undefined) return { kind: 'unreadable', detail };
    throw error;
  });
}
