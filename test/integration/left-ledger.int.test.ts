import { createBuyAdmission } from '../../api/buy/admission';
import { createSoldOutCache } from '../../api/buy/sold-out-cache';
import { createOrderLookup } from '../../api/routes/order-lookup';
import { createOrderActivities } from '../../activities/order-activities';
import { createArchive, readSoldOrders } from '../../engine/archive/archive';
import { createEndedOrders } from '../../engine/archive/ended-orders';
import { eraseUser } from '../../engine/archive/erase-user';
import { createFinishedOrders } from '../../engine/archive/finished-orders';
import { leaveLedger } from '../../engine/archive/leave-ledger';
import type { Order, OrderId } from '../../engine/orders/order';
import { createAdmission } from '../../engine/stock/admission';
import { createFinishClaims } from '../../engine/stock/claims';
import {
  archivedUnitsKey,
  claimKey,
  claimValue,
  countedUnitsKey,
  countsKey,
  itemKeys,
  FINISHED_MARK,
  ordersKey,
} from '../../engine/stock/keys';
import { createLeavingOrders } from '../../engine/stock/leaving-orders';
import { createStockOperations } from '../../engine/stock/stock-operations';
import { createTestArchive, type TestArchive } from '../support/archive';
import { createRecords } from '../support/archived-records';
import { anAttempt, anOrder, aPurchase } from '../support/purchases';
import { failureOf, useSaga, workflowTasksOf } from '../support/saga';

let archive: TestArchive;
let isAway = false;
/** Records that the archive misses. */
let missing = 0;
beforeAll(async () => {
  archive = await createTestArchive();
});
afterAll(() => archive.drop());
beforeEach(() => {
  isAway = false;
  missing = 0;
});

const saga = useSaga({
  archiveOf: () => {
    const behind = () => Promise.resolve(missing);
    const { endOf, endOfRequest } = createEndedOrders(archive.database, behind);
    const orAway =
      <A, R>(find: (asked: A) => Promise<R>) =>
      (asked: A) =>
        isAway ? Promise.reject<R>(new Error('away')) : find(asked);
    return { endOf: orAway(endOf), endOfRequest: orAway(endOfRequest) };
  },
});
const { aQueuedOrder, money, start, reset } = saga;
const RETENTION_MS = 3_600_000;
const moneyOf = (order: Order) => money.moneyOf(order.requestId);
const declined = new Set<string>();
beforeAll(() => {
  money.declineIf((key) => declined.has(key.split(':')[0] ?? ''));
});

/** Archives all that was told of an order. */
async function archiveOf(order: Order): Promise<void> {
  const records = createRecords();
  await archive.fill(records.order(order), ...saga.eventsOf(order).map(records.event));
}

/** Lets every archived order leave whose retention is over. */
async function leave({ aheadMs = 2 * RETENTION_MS } = {}): Promise<void> {
  await leaveLedger({
    finished: createFinishedOrders(archive.database),
    ledger: createLeavingOrders(saga.redis),
    finishClaims: createFinishClaims(saga.redis),
    ledgerRetentionMs: RETENTION_MS / 2,
    orderRetentionMs: RETENTION_MS,
    onLeft: () => undefined,
    onFailure: ({ error }) => {
      throw error;
    },
    now: () => Date.now() + aheadMs,
  });
}

const claimOf = (order: Order) => saga.redis.get(claimKey(order.requestId));
const hasEntry = async (order: Order) =>
  (await saga.redis.hexists(ordersKey(order.itemId), order.requestId)) === 1;

/** An order that was sold, has left the ledger, and was charged once. */
async function aLeftSale(): Promise<Order> {
  const order = await aQueuedOrder({ supply: 2 });
  await (await start(order)).result();
  await archiveOf(order);
  await leave();
  expect(await hasEntry(order)).toBe(false);
  return order;
}

async function aLeftFailure(): Promise<Order> {
  const order = await aQueuedOrder({ supply: 2 });
  declined.add(order.requestId);
  expect(await failureOf(await start(order))).toBe('payment-declined');
  await archiveOf(order);
  await leave();
  expect(await hasEntry(order)).toBe(false);
  return order;
}

const SOLD = { free: 1, queued: 0, reserved: 0, sold: 1, supply: 2 };
const UNSOLD = { free: 2, queued: 0, reserved: 0, sold: 0, supply: 2 };

describe('an archived order leaves the ledger', () => {
  test('when its time is over: its claim is marked, and the counts stay', async () => {
    const order = await aLeftSale();
    expect(await claimOf(order)).toBe(`${claimValue(order)}${FINISHED_MARK}`);
    expect(await saga.countsOf(order)).toMatchObject(SOLD);
    expect(await saga.stock.maintenance.compareCounts(order.itemId)).toEqual([]);
    const [verdict] = await saga.stock.admission.claimAndHold([anAttempt(order, 'again')]);
    expect(verdict).toMatchObject({ claim: 'finished' });
  });

  test('also when its buyer was erased from the archive meanwhile: its claim is marked', async () => {
    const order = await aQueuedOrder({ supply: 2 });
    await (await start(order)).result();
    await archiveOf(order);
    await eraseUser(archive.database, order.userId);
    await leave();
    expect(await hasEntry(order)).toBe(false);
    expect(await claimOf(order)).toBe(`${claimValue(order)}${FINISHED_MARK}`);
  });

  test('no sooner, and later when it failed: it may be tried again until then', async () => {
    const [sold, failed] = [await aQueuedOrder(), await aQueuedOrder()];
    declined.add(failed.requestId);
    await (await start(sold)).result();
    await failureOf(await start(failed));
    for (const order of [sold, failed]) await archiveOf(order);
    await leave({ aheadMs: 0 });
    expect([await hasEntry(sold), await hasEntry(failed)]).toEqual([true, true]);
    await leave({ aheadMs: RETENTION_MS * 0.75 });
    expect([await hasEntry(sold), await hasEntry(failed)]).toEqual([false, true]);
    await leave();
    expect(await hasEntry(failed)).toBe(false);
  });

  test('not while the archive has another end than the ledger, nor before its charges are settled', async () => {
    const [order, owing] = [await aQueuedOrder(), await aQueuedOrder()];
    for (const one of [order, owing]) {
      declined.add(one.requestId);
      await failureOf(await start(one));
      await archiveOf(one);
    }
    const change = async (one: Order, fields: object) => {
      const raw = (await saga.redis.hget(ordersKey(one.itemId), one.requestId)) ?? '{}';
      const entry = { ...(JSON.parse(raw) as object), ...fields };
      await saga.redis.hset(ordersKey(one.itemId), one.requestId, JSON.stringify(entry));
    };
    const { revision = 0 } = (await saga.entryOf(order)) ?? {};
    await change(order, { revision: revision + 1 });
    await change(owing, { owed: '1,' });
    await leave();
    expect([await hasEntry(order), await hasEntry(owing)]).toEqual([true, true]);
    expect(await claimOf(order)).toBe(claimValue(order));
    await change(order, { revision });
    await leave();
    expect(await hasEntry(order)).toBe(false);
  });

  test('not while its ledger is lost: it leaves once its entry is there again', async () => {
    const order = await aQueuedOrder({ supply: 2 });
    await (await start(order)).result();
    await archiveOf(order);
    const { redis } = saga;
    const copies = itemKeys(order.itemId).map((key) => [key, `${key}:copy`] as const);
    for (const [key, copy] of copies) await redis.call('copy', key, copy);
    await redis.del(...itemKeys(order.itemId));
    await expect(leave()).rejects.toThrow('not open');
    for (const [key, copy] of copies) {
      if ((await redis.exists(copy)) === 1) await redis.rename(copy, key);
    }
    expect(await hasEntry(order)).toBe(true);
    await leave();
    expect(await hasEntry(order)).toBe(false);
  });

  test('leaves a later order alone that has its request_id, and its claim', async () => {
    const order = await aQueuedOrder({ supply: 2 });
    await (await start(order)).result();
    await archiveOf(order);
    // Both retentions are over, and the process died before it noted that the order has left.
    await saga.redis.hdel(ordersKey(order.itemId), order.requestId);
    await saga.redis.del(claimKey(order.requestId));
    const later = anAttempt(order, 'a-later-order');
    await saga.stock.admission.claimAndHold([later]);
    await leave();
    expect(await hasEntry(order)).toBe(true);
    expect(await claimOf(order)).toBe(claimValue(order));
  });
});

describe('a step that comes after the order has left', () => {
  test('finds the sale again, whatever run asks and from wherever it is reset', async () => {
    const order = await aQueuedOrder({ supply: 2 });
    const handle = await start(order);
    await handle.result();
    const { runId } = await handle.describe();
    await archiveOf(order);
    await leave();
    for (const eventId of await workflowTasksOf(saga.handleOf(order, runId))) {
      const again = await reset(order, { runId, eventId });
      await expect(again.result()).resolves.toMatchObject({ outcome: 'confirmed' });
    }
    expect(moneyOf(order)).toEqual({ '1': 'captured' });
    expect(await saga.countsOf(order)).toMatchObject(SOLD);
    expect(await hasEntry(order)).toBe(false);
  });

  test('finds the failure again: nothing is reserved, charged or written a second time', async () => {
    const order = await aLeftFailure();
    const letters = saga.lettersOf(order).length;
    const again = await start(order, 'ALLOW_DUPLICATE_FAILED_ONLY');
    expect(await failureOf(again)).toBe('payment-declined');
    expect(await saga.countsOf(order)).toMatchObject(UNSOLD);
    expect(moneyOf(order)).toEqual({ '1': 'declined' });
    expect(saga.lettersOf(order)).toHaveLength(letters);
  });

  test('finds the cancellation again, and charges nothing', async () => {
    const order = await aQueuedOrder({ supply: 2 });
    expect(await saga.ledger.cancel(order)).toMatchObject({ kind: 'cancelled' });
    const CANCELLED = { outcome: 'cancelled' };
    await expect((await start(order)).result()).resolves.toMatchObject(CANCELLED);
    await archiveOf(order);
    await leave();
    expect(await hasEntry(order)).toBe(false);
    await expect((await reset(order)).result()).resolves.toMatchObject(CANCELLED);
    const late = createOrderActivities(saga.clients);
    const step = { order, fence: Date.now() + 1_000_000 };
    const released = late.releaseStock({ ...step, reason: 'sale-lost' });
    await expect(released).resolves.toMatchObject({ kind: 'released', cancelledByBuyer: true });
    expect(moneyOf(order)).toEqual({});
    expect(await saga.countsOf(order)).toMatchObject(UNSOLD);
  });

  test('refunds no sale, and confirms and releases nothing', async () => {
    const order = await aLeftSale();
    const { paymentId = '' } = saga.eventsOf(order).at(-1) ?? {};
    const late = createOrderActivities(saga.clients);
    await expect(late.refundPayment({ ...order, generation: 1 })).resolves.toBe('kept');
    const fence = Date.now() + 1_000_000;
    const confirmed = { ...order, generation: 1, fence, paymentId };
    await expect(late.confirmSale(confirmed)).resolves.toMatchObject({ kind: 'sold' });
    await expect(late.confirmSale({ ...confirmed, generation: 2 })).resolves.toEqual({
      kind: 'lost',
    });
    const released = late.releaseStock({ order, fence, reason: 'sale-lost' });
    await expect(released).resolves.toMatchObject({ kind: 'sold', generation: 1, owed: [] });
    expect(moneyOf(order)).toEqual({ '1': 'captured' });
    expect(await saga.countsOf(order)).toMatchObject(SOLD);
  });

  test('waits while the archive is away, and then goes on', async () => {
    const order = await aLeftSale();
    isAway = true;
    const again = await reset(order);
    const later = (async () => {
      const { status } = await again.describe();
      isAway = false;
      return status.name;
    })();
    expect(await later).toBe('RUNNING');
    await expect(again.result()).resolves.toMatchObject({ outcome: 'confirmed' });
    expect(moneyOf(order)).toEqual({ '1': 'captured' });
  });

  test('waits while the archive misses records, as after a restored backup, and then goes on', async () => {
    const order = await aLeftSale();
    await archive.empty();
    missing = 1;
    const again = await reset(order);
    const activities = createOrderActivities(saga.clients);
    await expect(activities.refundPayment({ ...order, generation: 1 })).rejects.toThrow('misses 1');
    const { status } = await again.describe();
    expect(status.name).toBe('RUNNING');
    await archiveOf(order);
    await expect(again.result()).resolves.toMatchObject({ outcome: 'confirmed' });
    expect(moneyOf(order)).toEqual({ '1': 'captured' });
    expect(await saga.countsOf(order)).toMatchObject(SOLD);
  });

  test('finds the sale of the acceptance that its own repeats: one run carried out both', async () => {
    const order = await aQueuedOrder({ supply: 3 });
    // Its hold was given away before the same purchase was held again, and its record is in the log.
    const repeated = { ...order, orderId: `first-${order.requestId}` as OrderId };
    await (await start(repeated)).result();
    for (const one of [repeated, order]) await archiveOf(one);
    await leave();
    expect(await hasEntry(order)).toBe(false);
    const again = await reset(order);
    await expect(again.result()).resolves.toMatchObject({ outcome: 'confirmed', generation: 1 });
    const activities = createOrderActivities(saga.clients);
    const step = { order: repeated, fence: Date.now() + 1_000_000 };
    const released = activities.releaseStock({ ...step, reason: 'sale-lost' });
    await expect(released).resolves.toMatchObject({ kind: 'sold', orderId: order.orderId });
    expect(moneyOf(order)).toEqual({ '1': 'captured' });
    expect(await saga.countsOf(order)).toMatchObject({ ...SOLD, free: 2, supply: 3 });
    // What was charged for it under its own id is no sale.
    await activities.refundPayment({ ...repeated, generation: 1 });
    expect(moneyOf(order)).toEqual({ '1': 'captured, blocked' });
  });

  test('of an earlier order does nothing to the later one of the same request_id', async () => {
    const order = await aLeftSale();
    await saga.redis.del(claimKey(order.requestId));
    const attempt = anAttempt(order, `later-${order.requestId}`);
    await saga.stock.admission.claimAndHold([attempt]);
    await saga.stock.admission.queue([attempt]);
    const later = anOrder(attempt);
    const activities = createOrderActivities(saga.clients);
    const fence = Date.now() + 1_000_000;
    const release = activities.releaseStock({ order, fence, reason: 'sale-lost' });
    await expect(release).resolves.toMatchObject({ kind: 'sold', orderId: order.orderId });
    await expect(activities.refundPayment({ ...order, generation: 1 })).resolves.toBe('kept');
    await expect(activities.reserveStock({ order, fence })).resolves.toMatchObject({
      kind: 'sold',
    });
    expect(await saga.entryOf(later)).toMatchObject({ state: 'queued', orderId: later.orderId });
    const run = await start(later, 'ALLOW_DUPLICATE_FAILED_ONLY').catch(() => undefined);
    expect(run).toBeUndefined();
  });

  test('takes a unit where the archive knows of no end: its record came late', async () => {
    const sold = await aLeftSale();
    const late = { ...sold, ...aPurchase({ itemId: sold.itemId }), orderId: 'lost' as OrderId };
    const activities = createOrderActivities(saga.clients);
    const reserved = activities.reserveStock({ order: late, fence: 10 });
    await expect(reserved).resolves.toMatchObject({ kind: 'reserved', generation: 1 });
  });
});

test('a step under the order id of a repeated acceptance works on the order that carried it out while that is there', async () => {
  const { itemId } = await aLeftSale();
  const attempt = anAttempt(aPurchase({ itemId }));
  await saga.stock.admission.claimAndHold([attempt]);
  await saga.stock.admission.queue([attempt]);
  const order = anOrder(attempt);
  declined.add(order.requestId);
  expect(await failureOf(await start(order))).toBe('payment-declined');
  await archiveOf(order);
  const repeated = { ...order, orderId: `first-${order.requestId}` as OrderId };
  const activities = createOrderActivities(saga.clients);
  const fence = Date.now() + 1_000_000;
  const reserved = activities.reserveStock({ order: repeated, fence });
  const own = { orderId: order.orderId };
  await expect(reserved).resolves.toMatchObject({ kind: 'reserved', generation: 2, order: own });
  const released = activities.releaseStock({ order: repeated, fence, reason: 'sale-lost' });
  await expect(released).resolves.toMatchObject({ kind: 'released', generation: 2, ...own });
  expect(await saga.countsOf(order)).toMatchObject(SOLD);
});

describe('a limit for each user', () => {
  const operations = () =>
    createStockOperations(saga.redis, {
      soldOrders: readSoldOrders(createArchive(archive.database)),
    });
  const limit = (units: number | null, { force = false } = {}, { itemId }: Order) =>
    operations().changeSale(itemId, { unitsPerUser: units }, { by: 'ann', force });
  const holdFor = async ({ itemId }: Order, userId: string) => {
    const attempt = anAttempt(aPurchase({ itemId, userId }));
    const [verdict] = await saga.stock.admission.claimAndHold([attempt]);
    if (!verdict || verdict instanceof Error) throw verdict ?? new Error('no verdict');
    await saga.stock.admission.undo([{ ...attempt, undoHold: true, dropClaim: true }]);
    return verdict.hold;
  };

  test('that is set later counts the buyers of orders that have left', async () => {
    const order = await aLeftSale();
    expect(await holdFor(order, order.userId)).toMatchObject({ kind: 'held' });
    const without = createStockOperations(saga.redis);
    const refused = without.changeSale(order.itemId, { unitsPerUser: 1 }, { by: 'ann' });
    expect(await refused).toEqual({ kind: 'uncounted' });
    expect(await limit(1, {}, order)).toMatchObject({ kind: 'changed' });
    expect(await holdFor(order, order.userId)).toMatchObject({
      kind: 'limit',
      unitsPerUser: 1,
      owned: 1,
    });
    expect(await holdFor(order, 'another')).toMatchObject({ kind: 'held' });
    expect(await saga.redis.exists(countedUnitsKey(order.itemId))).toBe(0);
  });

  test('is not set while the archive misses sold orders that have left', async () => {
    const order = await aLeftSale();
    await archive.empty();
    await expect(limit(1, {}, order)).rejects.toThrow('misses');
    expect((await saga.ledger.item(order.itemId))?.sale).not.toHaveProperty('unitsPerUser');
    await archiveOf(order);
    expect(await limit(1, {}, order)).toMatchObject({ kind: 'changed' });
  });

  test('counts an order once, before it leaves and after, and nothing without a limit', async () => {
    const order = await aQueuedOrder({ supply: 2 });
    await limit(1, {}, order);
    await (await start(order)).result();
    const LIMIT = { kind: 'limit', unitsPerUser: 1, owned: 1 };
    expect(await holdFor(order, order.userId)).toMatchObject(LIMIT);
    await archiveOf(order);
    await leave();
    expect(await hasEntry(order)).toBe(false);
    expect(await holdFor(order, order.userId)).toMatchObject(LIMIT);
    expect(await saga.stock.maintenance.compareCounts(order.itemId)).toEqual([]);
    await limit(null, {}, order);
    expect(await saga.redis.exists(archivedUnitsKey(order.itemId))).toBe(0);
    await limit(1, { force: true }, order);
    expect(await holdFor(order, order.userId)).toMatchObject(LIMIT);
  });

  test('is not set below what a buyer of archived and live orders owns, unless it is forced', async () => {
    const order = await aLeftSale();
    const more = anAttempt(aPurchase({ itemId: order.itemId }));
    await saga.stock.admission.claimAndHold([more]);
    const owned = { kind: 'units-owned', users: 1, most: 2 };
    expect(await limit(1, {}, order)).toEqual(owned);
    expect(await limit(1, { force: true }, order)).toMatchObject({ kind: 'changed' });
  });

  test('keeps orders in the ledger while it counts them', async () => {
    const counting = await aLeftSale();
    const attempt = anAttempt(aPurchase({ itemId: counting.itemId }));
    await saga.stock.admission.claimAndHold([attempt]);
    await saga.stock.admission.queue([attempt]);
    const late = anOrder(attempt);
    await (await start(late)).result();
    await archiveOf(late);
    const counted = createStockOperations(saga.redis, {
      soldOrders: async function* () {
        await leave();
        yield [{ ...counting, orderId: String(counting.orderId) }];
      },
    });
    await counted.changeSale(counting.itemId, { unitsPerUser: 5 }, { by: 'ann' });
    expect(await hasEntry(late)).toBe(true);
    await leave();
    expect(await hasEntry(late)).toBe(false);
  });
});

describe('a request that is repeated', () => {
  /** Redis, with something that happens after the first round trip. */
  function redisThen(happens: () => Promise<unknown>): typeof saga.redis {
    let first = true;
    return new Proxy(saga.redis, {
      get: (target, name) => {
        if (name !== 'pipeline') return Reflect.get(target, name, target) as unknown;
        return (...commands: Parameters<typeof target.pipeline>) => {
          const pipeline = target.pipeline(...commands);
          const exec = pipeline.exec.bind(pipeline);
          pipeline.exec = async () => {
            const replies = await exec();
            if (first) await happens();
            first = false;
            return replies;
          };
          return pipeline;
        };
      },
    });
  }
  const admissionOn = (redis: typeof saga.redis) =>
    createAdmission(redis, {
      claimTtlMs: 60_000,
      orderRetentionMs: 120_000,
      defaultPrice: { priceMinor: 1000, currency: 'USD' },
    });
  const mark = (order: Order) =>
    createFinishClaims(saga.redis)([{ ...order, claimUntil: Date.now() + 60_000 }], Date.now());
  const unmark = (order: Order) =>
    saga.redis.set(claimKey(order.requestId), claimValue(order), 'PX', 60_000);
  const lookUpOf = ({ itemId }: Order) =>
    createOrderLookup({
      ledger: saga.ledger,
      findItem: () => Promise.resolve(itemId),
      archive: createArchive(archive.database),
      errors: { report: () => undefined },
    });

  /** The order leaves between the claim and the hold: its claim is marked once the first look at it is over. */
  async function repeatedWhileItLeaves(order: Order) {
    await unmark(order);
    const admission = admissionOn(redisThen(() => mark(order)));
    const [verdict] = await admission.claimAndHold([anAttempt(order, 'again')]);
    return verdict;
  }

  test('while its order leaves is no second order', async () => {
    const verdict = await repeatedWhileItLeaves(await aLeftSale());
    expect(verdict).toMatchObject({ claim: 'finished', hold: { kind: 'held' } });
  });

  test('while its order leaves is not told that all is sold', async () => {
    const order = await aLeftSale();
    await saga.setFree(order, 0);
    const verdict = await repeatedWhileItLeaves(order);
    expect(verdict).toMatchObject({ claim: 'finished', hold: { kind: 'sold-out' } });
  });

  test('while its lost ledger is rebuilt without it is no second order', async () => {
    const order = await aLeftSale();
    await unmark(order);
    const token = (await saga.redis.hget(countsKey(order.itemId), 'opened')) ?? '';
    await saga.redis.hdel(countsKey(order.itemId), 'opened');
    const { admit } = createBuyAdmission({
      admission: admissionOn(saga.redis),
      ledgers: {
        resolve: async () => {
          await mark(order);
          await saga.redis.hset(countsKey(order.itemId), 'opened', token);
          return 'opened';
        },
      },
      lookUp: lookUpOf(order),
      errors: { report: () => undefined },
      soldOutCache: createSoldOutCache(0),
    });
    const { requestId, userId, itemId, amount } = order;
    const answer = await admit({ requestId, userId, itemId, amount }, 'http-1');
    expect(answer).toMatchObject({ status: 409 });
    expect(await saga.countsOf(order)).toMatchObject(SOLD);
  });

  test('and holds units until it is refused hides the order from nobody', async () => {
    const order = await aLeftSale();
    const [verdict] = await saga.stock.admission.claimAndHold([anAttempt(order, 'again')]);
    expect(verdict).toMatchObject({ claim: 'finished', hold: { kind: 'held' } });
    const found = await lookUpOf(order)(order.requestId);
    expect(found).toMatchObject({ archived: { status: 'confirmed', orderId: order.orderId } });
  });
});

test('an order that has left is not called unknown while the archive misses it', async () => {
  const order = await aLeftSale();
  await archive.empty();
  const lookUp = createOrderLookup({
    ledger: saga.ledger,
    archive: createArchive(archive.database),
    errors: { report: () => undefined },
  });
  await expect(lookUp(order.requestId)).rejects.toThrow('misses');
});
