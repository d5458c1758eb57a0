import { crc32 } from 'node:zlib';
import { ownedUnits } from '../orders/ledger';
import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import {
  buyersKey,
  countsKey,
  eventsKey,
  freeUnitsKey,
  itemKeys,
  leasesKey,
  ordersKey,
  stagingKeys,
} from './keys';
import { defineLedgerScripts } from './scripts';
import { readEntry } from './stored-entry';

/** The operator who changes a ledger by hand, and the reason: kept in the ledger's stream of events. */
export interface ByHand {
  readonly by: string;
  readonly why: string;
}

/** A number that should be the sum of entries and is not. `field`: a state, "buyer <user>" or "lease <request_id>". */
export interface CountDifference {
  readonly field: string;
  readonly there: number;
  readonly should: number;
}

/** Entries, buyers or leases of one page. */
const PAGE_SIZE = 500;
/** Differences that are named, and corrections of one call of the script. */
const DIFFERENCES_MAX = 500;
/** An item that is busy is quiet for the few milliseconds that a small ledger takes. */
const TRIES = 5;

/**
 * Compares an item's counts with its entries, in pages. Every change of a count is in the item's stream of events: the
 * comparison counts only if the last event before it is still the last one after it.
 */
export function createLedgerCounts(redis: RedisConnection) {
  defineLedgerScripts(redis);
  /** The numbers that differ, at most DIFFERENCES_MAX; undefined where the item has changed meanwhile. */
  const compareOnce = async (itemId: ItemId, event: string, goOn: () => boolean) => {
    const isQuiet = async () => goOn() && (await lastEvent(redis, itemId)) === event;
    const should = await sumEntries(redis, itemId, isQuiet);
    if (should === undefined) return undefined;
    const there = await readCounts(redis, itemId);
    // Sold orders that have left the ledger still count.
    should.units.sold += there.archived;
    const differences = await namedDifferences(redis, itemId, { should, there });
    return (await isQuiet()) ? differences : undefined;
  };

  const compare = async (itemId: ItemId, goOn: () => boolean = () => true) => {
    for (let i = 0; i < TRIES && goOn(); i++) {
      const event = await lastEvent(redis, itemId);
      const differences = await compareOnce(itemId, event, goOn);
      if (differences !== undefined) return { differences, event };
    }
    return undefined;
  };

  /** Writes what follows from the entries; `mode` "accept" opens the ledger, too. Returns what was different. */
  const correct = async (
    itemId: ItemId,
    mode: 'mend' | 'accept',
    { token = '', by, why }: ByHand & { readonly token?: string },
  ): Promise<CountDifference[]> => {
    const all: CountDifference[] = [];
    for (;;) {
      const compared = await compare(itemId);
      if (compared === undefined) throw busy(itemId);
      const { differences, event } = compared;
      all.push(...differences);
      const isLast = differences.length < DIFFERENCES_MAX;
      if (isLast && differences.length === 0 && mode === 'mend') return all;
      const step = isLast ? mode : 'mend';
      const corrections = differences.flatMap(({ field, should }) => [field, should]);
      const keys = [...itemKeys(itemId), ...stagingKeys(itemId)];
      const args = [event, step, token, by, why, ...corrections];
      if ((await redis.ledgerRecount(...keys, ...args)) !== 1) throw busy(itemId);
      if (isLast) return all;
    }
  };

  return {
    /**
     * Undefined where the item never was quiet while it was counted, or once `goOn` says no, which is asked before each page.
     * Throws for an entry that no script has written.
     */
    compareCounts: async (
      itemId: ItemId,
      goOn?: () => boolean,
    ): Promise<readonly CountDifference[] | undefined> =>
      (await compare(itemId, goOn))?.differences,

    /** The units by state, those that have left the ledger included, and the newest change of the item and its time in ms. */
    async counts(itemId: ItemId) {
      const event = await lastEvent(redis, itemId);
      const { units } = await readCounts(redis, itemId);
      return { ...units, event, changedAt: Number(event.split('-')[0]) };
    },

    /** Writes the counts that follow from the entries; returns what was different. */
    mendCounts: (itemId: ItemId, who: ByHand) => correct(itemId, 'mend', who),

    /** Opens a ledger as it is in Redis, and writes the counts that follow from its entries. */
    async accept(itemId: ItemId, token: string, { by, why }: ByHand): Promise<void> {
      await correct(itemId, 'accept', { token, by, why });
    },
  };
}

function busy(itemId: ItemId): Error {
  return new Error(
    `Item ${itemId} changed while it was counted: try again when fewer orders are on their way`,
  );
}

const STATES = ['held', 'queued', 'reserved', 'sold'] as const;

interface Sums {
  readonly units: Record<(typeof STATES)[number], number>;
  readonly buyers: BucketSums;
  readonly leases: BucketSums;
}

/** Undefined as soon as the item has changed, or where the scan has passed an entry twice. */
async function sumEntries(
  redis: RedisConnection,
  itemId: ItemId,
  isQuiet: () => Promise<boolean>,
): Promise<Sums | undefined> {
  const sums: Sums = {
    units: { held: 0, queued: 0, reserved: 0, sold: 0 },
    buyers: createBucketSums(),
    leases: createBucketSums(),
  };
  let entries = 0;
  for await (const page of pages(redis, ordersKey(itemId))) {
    if (!(await isQuiet())) return undefined;
    entries += page.length;
    for (const [requestId, raw] of page) {
      const { live, lease } = readLive(requestId, raw);
      if (live === undefined) continue;
      sums.units[live.state] += live.units;
      sums.buyers.add(live.userId, live.owned);
      if (lease !== undefined) sums.leases.add(requestId, lease);
    }
  }
  return entries === (await redis.hlen(ordersKey(itemId))) ? sums : undefined;
}

function readLive(requestId: string, raw: string) {
  const entry = readEntry(raw);
  if ('problem' in entry) {
    throw new Error(`The entry of ${requestId} cannot be read: nothing was changed`);
  }
  const { state, units, userId, leaseUntil } = entry;
  if (state === 'released') return {};
  const owned = ownedUnits(entry);
  return {
    live: { state, units, owned, userId },
    lease: state === 'held' ? leaseUntil : undefined,
  };
}

interface Counts {
  /** Free units; the supply is what it would be once an outside change of them is recorded. */
  readonly free: number;
  readonly supply: number;
  readonly units: Sums['units'];
  /** Units of sold orders without an entry. */
  readonly archived: number;
}

async function readCounts(redis: RedisConnection, itemId: ItemId): Promise<Counts> {
  const free = Number((await redis.get(freeUnitsKey(itemId))) ?? 0);
  const fields = await redis.hmget(countsKey(itemId), 'free', 'supply', 'archived', ...STATES);
  const [freeBefore = 0, supply = 0, archived = 0, held = 0, queued = 0, reserved = 0, sold = 0] =
    fields.map(Number);
  const units = { held, queued, reserved, sold };
  return { free, supply: supply + free - freeBefore, units, archived };
}

async function namedDifferences(
  redis: RedisConnection,
  itemId: ItemId,
  { should, there }: { readonly should: Sums; readonly there: Counts },
): Promise<CountDifference[]> {
  const live = STATES.reduce((sum, state) => sum + should.units[state], 0);
  const found: CountDifference[] = [];
  for (const state of STATES) {
    found.push({ field: state, there: there.units[state], should: should.units[state] });
  }
  found.push({ field: 'supply', there: there.supply, should: there.free + live });

  const buyers = createBucketSums();
  for await (const page of pages(redis, buyersKey(itemId))) {
    for (const [user, units] of page) buyers.add(user, Number(units));
  }
  const leases = createBucketSums();
  for await (const page of leasePages(redis, itemId)) {
    for (const [requestId, lease] of page) leases.add(requestId, Number(lease));
  }
  const isSuspect = {
    buyer: should.buyers.differFrom(buyers),
    lease: should.leases.differFrom(leases),
  };
  if (isSuspect.buyer !== undefined || isSuspect.lease !== undefined) {
    found.push(...(await namedOwners(redis, itemId, isSuspect)));
  }
  return found.filter((one) => one.there !== one.should).slice(0, DIFFERENCES_MAX);
}

type IsSuspect = ((name: string) => boolean) | undefined;

/** Reads the entries again, and this time keeps the users and leases whose sums were different. */
async function namedOwners(
  redis: RedisConnection,
  itemId: ItemId,
  isSuspect: { readonly buyer: IsSuspect; readonly lease: IsSuspect },
): Promise<CountDifference[]> {
  const fields = new Map<string, { there: number; should: number }>();
  const note = (kind: 'buyer' | 'lease', name: string, side: 'there' | 'should', add: number) => {
    if (isSuspect[kind]?.(name) !== true) return;
    const field = `${kind} ${name}`;
    const known = fields.get(field) ?? { there: 0, should: 0 };
    known[side] += add;
    fields.set(field, known);
  };
  for await (const page of pages(redis, ordersKey(itemId))) {
    for (const [requestId, raw] of page) {
      const { live, lease } = readLive(requestId, raw);
      if (live) note('buyer', live.userId, 'should', live.owned);
      if (lease !== undefined) note('lease', requestId, 'should', lease);
    }
  }
  for await (const page of pages(redis, buyersKey(itemId))) {
    for (const [user, units] of page) note('buyer', user, 'there', Number(units));
  }
  for await (const page of leasePages(redis, itemId)) {
    for (const [requestId, lease] of page) note('lease', requestId, 'there', Number(lease));
  }
  return [...fields].map(([field, { there, should }]) => ({ field, there, should }));
}

const BUCKETS = 65_536;

type BucketSums = ReturnType<typeof createBucketSums>;

/** Sums by name in a fixed amount of memory: names share a bucket by their hash. */
function createBucketSums() {
  const sums = new Float64Array(BUCKETS);
  const bucket = (name: string) => crc32(name) % BUCKETS;
  return {
    sums,
    add: (name: string, number: number) => {
      const index = bucket(name);
      sums[index] = (sums[index] ?? 0) + number;
    },
    /** Tells the names that may differ; undefined where all sums are equal. */
    differFrom: (other: { readonly sums: Float64Array }): IsSuspect => {
      if (sums.every((sum, index) => sum === other.sums[index])) return undefined;
      return (name) => sums[bucket(name)] !== other.sums[bucket(name)];
    },
  };
}

type Page = readonly (readonly [string, string])[];

async function* pages(redis: RedisConnection, key: string): AsyncGenerator<Page> {
  let cursor = '0';
  do {
    const [next, flat] = await redis.hscan(key, cursor, 'COUNT', PAGE_SIZE);
    yield pairs(flat);
    cursor = next;
  } while (cursor !== '0');
}

async function* leasePages(redis: RedisConnection, itemId: ItemId): AsyncGenerator<Page> {
  for (let first = 0; ; first += PAGE_SIZE) {
    const last = String(first + PAGE_SIZE - 1);
    const flat = await redis.zrange(leasesKey(itemId), String(first), last, 'WITHSCORES');
    yield pairs(flat);
    if (flat.length < 2 * PAGE_SIZE) return;
  }
}

function pairs(flat: readonly string[]): Page {
  const found: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) found.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return found;
}

/** The id of the item's newest event; empty where it has none. */
async function lastEvent(redis: RedisConnection, itemId: ItemId): Promise<string> {
  const [newest] = await redis.xrevrange(eventsKey(itemId), '+', '-', 'COUNT', 1);
  return newest?.[0] ?? '';
}
