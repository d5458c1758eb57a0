import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { adjustmentsKey, countsKey, itemKeys, saleKey } from './keys';
import { NO_REPLY, runCommands } from './pipelines';
import { fieldOf } from './stored-entry';
import type { SaleFields } from './stock-operations';

/** A change of an item itself, and what it left. */
export interface Adjustment {
  readonly id: AdjustmentId;
  readonly kind: AdjustmentKind;
  /** By how much the supply has changed; absent where the change was not one of free units. */
  readonly units?: number;
  readonly free: number;
  readonly supply: number;
  /** Without it the numbers say nothing of the item's orders: it was not opened yet, or is lost. */
  readonly isOpen: boolean;
  /** As Redis has it; absent where it cannot be read. */
  readonly sale?: SaleFields;
  readonly by?: string;
  readonly why?: string;
  readonly operation?: string;
  /** The order id of the refunded sale whose units were put back. */
  readonly order?: string;
}

/** The place in the item's stream: Redis's time in ms since the epoch, and a number in it. */
export interface AdjustmentId {
  readonly at: number;
  readonly seq: number;
}

const ADJUSTMENT_KINDS = [
  'opened',
  'adjusted',
  'vanished',
  'sale',
  'recounted',
  'accepted',
  'rebuilt',
  'noted',
  'retired',
] as const;
export type AdjustmentKind = (typeof ADJUSTMENT_KINDS)[number];

/** An entry of the stream as Redis has it. */
export type StoredAdjustment = readonly [id: string, fields: readonly string[]];

/** The oldest adjustments of each item that are not archived yet, or why it has no answer. One round trip. */
export async function readAdjustments(
  redis: RedisConnection,
  itemIds: readonly ItemId[],
  countMax: number,
): Promise<ReadonlyMap<ItemId, readonly StoredAdjustment[] | Error>> {
  const replies = await runCommands(
    redis,
    itemIds.map((itemId) => ['xrange', adjustmentsKey(itemId), '-', '+', 'COUNT', countMax]),
  );
  return new Map(
    itemIds.map((itemId, at) => {
      const [error, entries] = replies[at] ?? NO_REPLY;
      return [itemId, error ?? (entries as StoredAdjustment[])];
    }),
  );
}

/**
 * Takes adjustments out of the stream, and only these: after a failover to a clock that is behind, others may have smaller
 * ids. The empty stream stays, and with it the order of the ids.
 */
export async function removeAdjustments(
  redis: RedisConnection,
  itemId: ItemId,
  ids: readonly string[],
): Promise<void> {
  await redis.xdel(adjustmentsKey(itemId), ...ids);
}

/** The supply, as the last script left it, and the sale of each item whose ledger is open. */
export async function readOpenStock(
  redis: RedisConnection,
  itemIds: readonly ItemId[],
): Promise<ReadonlyMap<ItemId, { readonly supply: number; readonly sale: SaleFields }>> {
  const replies = await runCommands(
    redis,
    itemIds.flatMap((itemId) => [
      ['hmget', countsKey(itemId), 'opened', 'supply'],
      ['hgetall', saleKey(itemId)],
    ]),
  );
  const open = itemIds.flatMap((itemId, at) => {
    const [[countsError, counts], [saleError, sale]] = [
      replies[2 * at] ?? NO_REPLY,
      replies[2 * at + 1] ?? NO_REPLY,
    ];
    if (countsError) throw countsError;
    const [opened, supply] = counts as (string | null)[];
    // A sale of another type, written by hand, is compared with none.
    if (opened === null || saleError) return [];
    return [[itemId, { supply: Number(supply), sale: sale as SaleFields }] as const];
  });
  return new Map(open);
}

/** Records the stock and the sale of an item as they are. */
export async function noteStock(redis: RedisConnection, itemId: ItemId): Promise<void> {
  await redis.ledgerNote(...itemKeys(itemId));
}

/** Reads an adjustment; `problem` says what is wrong with one that no script has written. */
export function parseAdjustment([id, fields]: StoredAdjustment):
  Adjustment | { readonly problem: string } {
  const [at = NaN, seq = NaN] = id.split('-').map(Number);
  if (!(at <= TIME_MAX && Number.isSafeInteger(seq))) return { problem: `${id} is no time` };
  const state = fieldOf(fields, 'state');
  const kind = ADJUSTMENT_KINDS.find((one) => one === state);
  if (kind === undefined) return { problem: `state ${state ?? ''} is none` };
  const numbers = { free: fieldOf(fields, 'free'), supply: fieldOf(fields, 'supply') };
  const units = fieldOf(fields, 'units');
  for (const [name, number] of Object.entries({ ...numbers, units: units ?? '0' })) {
    if (!isWhole(number)) return { problem: `${name} ${number ?? ''} is no whole number` };
  }
  const isOpen = fieldOf(fields, 'open');
  if (isOpen !== '0' && isOpen !== '1') return { problem: 'open is neither 0 nor 1' };
  const sale = readSale(fieldOf(fields, 'sale') ?? '');
  const texts = Object.fromEntries(
    (['by', 'why', 'operation', 'order'] as const).flatMap((name) => {
      const value = fieldOf(fields, name);
      return value === undefined || value === '' ? [] : [[name, value]];
    }),
  );
  return {
    id: { at, seq },
    kind,
    free: Number(numbers.free),
    supply: Number(numbers.supply),
    isOpen: isOpen === '1',
    ...(units !== undefined && { units: Number(units) }),
    ...(sale && { sale }),
    ...texts,
  };
}

/** Below the year 10000. */
const TIME_MAX = Date.UTC(9999, 11, 31);

function isWhole(text: string | undefined): boolean {
  return text !== undefined && /^-?\d{1,15}$/.test(text);
}

/** A list of names and values; Lua writes an empty one as an object, and an error of Redis as another. */
function readSale(json: string): SaleFields | undefined {
  let found: unknown;
  try {
    found = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!Array.isArray(found)) return json === '{}' ? {} : undefined;
  const names = found.filter((_, index) => index % 2 === 0).map(String);
  return Object.fromEntries(names.map((name, index) => [name, String(found[2 * index + 1])]));
}
