import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { createEndedOrders } from '../../engine/archive/ended-orders';
import { createItemHistory } from '../../engine/archive/item-history';
import { holeRow, project } from '../../engine/archive/projection';
import { retrySetAside } from '../../engine/archive/set-aside';
import { createArchiveStore } from '../../engine/archive/store';
import { createLedgerOfRecord } from '../../engine/archive/ledger-of-record';
import { writeStockChanges } from '../../engine/archive/stock-changes';
import type { Cancellation } from '../../engine/orders/cancellation-record';
import type { ItemId, Order, OrderId } from '../../engine/orders/order';
import type { OrderEvent } from '../../engine/orders/order-event';
import { createArchivedHistory } from '../../engine/reconciliation/archived-history';
import { knownStock } from '../../engine/archive/known-stock';
import { rebuildLedger } from '../../engine/reconciliation/rebuild-ledger';
import type { RunHistory } from '../../engine/reconciliation/run-history';
import { readAdjustments, removeAdjustments } from '../../engine/stock/adjustments';
import { createAfterSaleLedger } from '../../engine/stock/after-sale';
import { createClaimOrder, createFinishClaims } from '../../engine/stock/claims';
import { claimKey, claimValue, countsKey, FINISHED_MARK, itemKeys } from '../../engine/stock/keys';
import { entriesOf } from '../../engine/stock/stored-entry';
import { redisAddr } from '../support/addresses';
import { createTestArchive, type TestArchive } from '../support/archive';
import { anAcceptance, anEvent, createRecords } from '../support/archived-records';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { redisStockOn, TOKEN, type RedisStock } from '../support/redis-stock';

const HOUR = 3_600_000;
const RETENTION_MS = 24 * HOUR;
const WHO = { by: 'ann', why: 'a test' };

let archive: TestArchive;
let stock: RedisStock;
let itemId: ItemId;
beforeAll(async () => {
  archive = await createTestArchive();
  // A database of its own: the archivers of other tests take the changes of every item.
  stock = redisStockOn(new Redis(redisAddr(), { db: 8 }));
});
beforeEach(async () => {
  await archive.empty();
  await archive.pool.query('truncate stock_changes');
  itemId = anItem();
});
afterAll(async () => {
  await stock.redis.quit();
  await archive.drop();
});

type Ended = Partial<Omit<OrderEvent, 'order'>>;
const SOLD: Ended = { status: 'confirmed', paymentId: 'pay-1' };
const FAILED: Ended = { status: 'failed', reason: 'payment-declined' };

/** An acceptance of so long ago, and how it ended; archived. */
async function past(
  {
    agoMs = 0,
    userId = 'u1',
    amount = 1,
    requestId = `req-${randomUUID()}`,
    payWithinMs,
  }: {
    agoMs?: number;
    userId?: string;
    amount?: number;
    requestId?: string;
    payWithinMs?: number;
  },
  ...ends: readonly Ended[]
): Promise<Order & { readonly orderId: OrderId }> {
  const acceptedAt = Date.now() - agoMs;
  const fields = { requestId, userId, amount, itemId, orderId: randomUUID(), acceptedAt };
  const order = { ...anAcceptance(fields), ...(payWithinMs !== undefined && { payWithinMs }) };
  const records = createRecords();
  const events = ends.map((end, i) => anEvent(order, { revision: acceptedAt + i + 1, ...end }));
  await archive.fill(records.order(order), ...events.map(records.event));
  return order;
}

/** What the ledger has recorded of the item itself is archived, as the archiver does it. */
async function archiveStock(): Promise<void> {
  const entries = (await readAdjustments(stock.redis, [itemId], 1_000)).get(itemId);
  if (!entries || entries instanceof Error) throw new Error('no stream', { cause: entries });
  await writeStockChanges(archive.database, itemId, entries);
  const ids = entries.map(([id]) => id);
  await removeAdjustments(stock.redis, itemId, ids);
}
async function onSale(supply: number, unitsPerUser?: number): Promise<void> {
  await stock.setFree(itemId, supply);
  if (unitsPerUser !== undefined) await stock.setSale(itemId, { unitsPerUser, priceMinor: 300 });
  await archiveStock();
}
const wipe = () => stock.redis.del(...itemKeys(itemId));

interface World {
  /** Records that the archive misses. */
  readonly behind?: number;
  readonly cancellations?: readonly Cancellation[];
  readonly registeredAt?: number;
  /** The runs that Temporal has; `isOpen`: not closed by themselves. */
  readonly runs?: readonly { readonly history: RunHistory; readonly isOpen?: boolean }[];
}

/** Rebuilds from the archive. Without runs and cancellations: Kafka and Temporal have forgotten everything. */
function rebuild(
  { behind = 0, cancellations = [], runs = [], registeredAt = Date.now() }: World = {},
  own: Pick<Parameters<typeof rebuildLedger>[1], 'stock' | 'acceptIncomplete'> = {},
) {
  const idsOf = (some: typeof runs) => some.map(({ history }) => history.order.requestId);
  const history = createArchivedHistory({
    archive: createItemHistory(archive.database),
    runs: {
      keptMs: () => Promise.resolve(RETENTION_MS),
      unfinished: () => Promise.resolve(new Set(idsOf(runs.filter(({ isOpen }) => isOpen)))),
      runIdsOf: (_item, wanted) =>
        Promise.resolve(
          new Map(idsOf(runs).flatMap((id) => (wanted.includes(id) ? [[id, ['run']]] : []))),
        ),
      look: () => Promise.resolve(undefined),
      history: (requestId) => {
        const run = runs.find((one) => one.history.order.requestId === requestId);
        return run ? Promise.resolve(run.history) : Promise.reject(new Error('no such run'));
      },
    },
    readCancellations: () =>
      Promise.resolve(new Map(cancellations.map((one) => [one.order.requestId, one]))),
    behind: () => Promise.resolve(behind),
    // The log has forgotten everything.
    logReachesBackTo: () => Promise.resolve(false),
    eventsTopic: 'order-events',
    orderRetentionMs: RETENTION_MS,
  });
  return rebuildLedger(
    {
      repair: stock.maintenance,
      registry: {
        registration: () => Promise.resolve({ token: TOKEN, at: registeredAt, isAgain: false }),
      },
      history: { restore: () => Promise.reject(new Error('there is an archive')) },
      claim: createClaimOrder(stock.redis, RETENTION_MS),
      archived: {
        ...history,
        stock: (item) => knownStock({ archive: archive.database, redis: stock.redis }, item),
        finishClaims: createFinishClaims(stock.redis),
        orderRetentionMs: RETENTION_MS,
      },
    },
    { itemId, ...WHO, ...own },
  );
}

const entries = () => entriesOf(stock.redis, itemId);
const counts = () => stock.countsOf(itemId);
const claimOf = ({ requestId }: Order) => stock.redis.get(claimKey(requestId));
const first = { start: 'first', runId: 'r', acceptedMsMax: RETENTION_MS } as const;
const again = { start: 'again', runId: 'r', acceptedMsMax: RETENTION_MS } as const;
const ledgerOfRecord = () =>
  createLedgerOfRecord(
    stock.ledger,
    createEndedOrders(archive.database, () => Promise.resolve(0)),
  );

function aRun(order: Order, fields: Partial<RunHistory> = {}): RunHistory {
  return {
    order,
    isTold: true,
    known: { state: 'reserved', generation: 2 },
    mayHaveCharged: false,
    isOtherOrder: false,
    cancelledByBuyer: false,
    fence: Date.now(),
    generations: new Set([2]),
    resolved: new Set(),
    ...fields,
  };
}

describe('a Redis that was wiped after all retentions: only the archive knows anything', () => {
  test('knows orders that a Redis has accepted whose clock was ahead', async () => {
    await onSale(3);
    const order = await past({ agoMs: -HOUR / 2 }, SOLD);
    await wipe();
    expect(await rebuild()).toMatchObject({ kind: 'rebuilt', sold: 1, free: 2 });
    await expect(ledgerOfRecord().reserve(order, 1, again)).resolves.toMatchObject({
      kind: 'sold',
    });
    expect(await counts()).toMatchObject({ sold: 1, free: 2 });
  });

  test('sells nothing twice: sold units stay sold, and no late record, reset or repeat takes a unit', async () => {
    await onSale(10);
    const old = await past({ agoMs: 90 * 24 * HOUR, amount: 2 }, SOLD);
    const young = await past({ agoMs: HOUR, userId: 'u2' }, SOLD);
    const failed = await past({ agoMs: 90 * 24 * HOUR }, FAILED);
    const cancelled = await past({ agoMs: HOUR }, { status: 'cancelled' });
    await wipe();
    expect(await rebuild()).toMatchObject({ kind: 'rebuilt', sold: 3, free: 7, supply: 10 });
    expect([...(await entries()).keys()]).toEqual([]);
    expect(await counts()).toMatchObject({ free: 7, sold: 3, supply: 10, queued: 0 });

    const ledger = ledgerOfRecord();
    for (const run of [first, again]) {
      expect(await ledger.reserve(old, Date.now(), run)).toMatchObject({ kind: 'sold' });
      expect(await ledger.reserve(young, Date.now(), run)).toMatchObject({ kind: 'sold' });
      expect(await ledger.reserve(failed, Date.now(), run)).toMatchObject({ kind: 'ended' });
      expect(await ledger.reserve(cancelled, Date.now(), run)).toMatchObject({ kind: 'cancelled' });
    }
    expect(await ledger.isRefundable({ ...old, generation: 1 })).toBe(false);
    for (const order of [young, cancelled]) {
      expect(await claimOf(order)).toBe(`${claimValue(order)}${FINISHED_MARK}`);
      const attempt = anAttempt(order);
      const [verdict] = await stock.admission.claimAndHold([attempt]);
      if (!verdict || verdict instanceof Error) throw new Error('no answer', { cause: verdict });
      expect(verdict.claim).toBe('finished');
      await stock.admission.undo([{ ...attempt, undoHold: true, dropClaim: false }]);
    }
    expect((await counts()).sold).toBe(3);
    expect(await stock.maintenance.compareCounts(itemId)).toEqual([]);
  });

  test('has its sale again, and earlier buyers count for the limit of each user', async () => {
    await onSale(10, 2);
    await past({ agoMs: 90 * 24 * HOUR, userId: 'ann', amount: 2 }, SOLD);
    await past({ agoMs: 90 * 24 * HOUR, userId: 'bob' }, SOLD);
    await wipe();
    const sale = { units_per_user: '2', price: '300' };
    expect(await rebuild()).toMatchObject({ kind: 'rebuilt', sold: 3, sale });
    expect((await stock.ledger.item(itemId))?.sale).toMatchObject({
      unitsPerUser: 2,
      priceMinor: 300,
    });
    const buys = async (userId: string, amount: number) => {
      const attempt = anAttempt(aPurchase({ itemId, userId, amount }));
      const [verdict] = await stock.admission.claimAndHold([attempt]);
      return verdict instanceof Error ? verdict : verdict?.hold.kind;
    };
    expect(await buys('ann', 1)).toBe('limit');
    expect(await buys('bob', 2)).toBe('limit');
    expect(await buys('bob', 1)).toBe('held');
    expect(await buys('eve', 2)).toBe('held');
  });

  test('keeps the sale that an operator has set meanwhile', async () => {
    await onSale(10, 2);
    await past({ userId: 'ann', amount: 2 }, SOLD);
    await wipe();
    await stock.redis.set(`inventory:${itemId}`, 0);
    await stock.setSale(itemId, { priceMinor: 999 });
    expect(await rebuild()).toMatchObject({ kind: 'rebuilt', sale: { price: '999' }, supply: 10 });
    expect(await stock.redis.exists(`{inventory:${itemId}}:archived`)).toBe(0);
  });
});

describe('orders that are restored one by one', () => {
  test('a failed order of late can be tried again, under its next generation and a larger revision', async () => {
    await onSale(5);
    const order = await past({ agoMs: HOUR }, { ...FAILED, generation: 2 });
    await wipe();
    expect(await rebuild()).toMatchObject({ sold: 0, free: 5 });
    const entry = (await entries()).get(order.requestId);
    expect(entry).toMatchObject({
      orderId: order.orderId,
      state: 'released',
      reason: 'payment-declined',
      generation: 2,
      revision: order.acceptedAt + 1,
      unresolvedCharges: [],
    });
    expect(await claimOf(order)).toBe(claimValue(order));
    const reserved = await ledgerOfRecord().reserve(order, Date.now(), again);
    expect(reserved).toMatchObject({ kind: 'reserved', generation: 3 });
  });

  test('a failed order of which a new run is under way is what that run says', async () => {
    await onSale(5);
    const order = await past({ agoMs: HOUR, amount: 2 }, FAILED);
    await wipe();
    await rebuild({ runs: [{ history: aRun(order), isOpen: true }] });
    expect((await entries()).get(order.requestId)).toMatchObject({
      state: 'reserved',
      generation: 2,
      unresolvedCharges: [2],
      revision: order.acceptedAt + 1,
    });
    expect(await counts()).toMatchObject({ free: 3, reserved: 2, supply: 5 });
  });

  test('a sold order of which a run was reset stays sold, and is counted once', async () => {
    await onSale(5);
    const order = await past({ agoMs: HOUR }, SOLD);
    await wipe();
    await rebuild({ runs: [{ history: aRun(order), isOpen: true }] });
    expect(await counts()).toMatchObject({ free: 4, sold: 1, reserved: 0, supply: 5 });
  });

  test('an order without an end is queued, or what its run says', async () => {
    await onSale(5);
    const waiting = await past({ agoMs: HOUR });
    const running = await past({ agoMs: HOUR });
    const byBuyer = await past({ agoMs: HOUR, payWithinMs: 600_000 });
    await wipe();
    const run = aRun(running, {
      generations: new Set([1]),
      known: { state: 'reserved', generation: 1 },
    });
    expect(await rebuild({ runs: [{ history: run, isOpen: true }] })).toMatchObject({ free: 2 });
    const found = await entries();
    expect(found.get(waiting.requestId)).toMatchObject({
      state: 'queued',
      orderId: waiting.orderId,
    });
    expect(found.get(waiting.requestId)).not.toHaveProperty('payWithinMs');
    expect(found.get(byBuyer.requestId)).toMatchObject({ state: 'queued', payWithinMs: 600_000 });
    expect(found.get(running.requestId)).toMatchObject({ state: 'reserved', generation: 1 });
  });

  test('a cancelled order is never sold, and a sale is never cancelled', async () => {
    await onSale(5);
    const cancelled = await past({ agoMs: HOUR }, { status: 'cancelled' });
    const untold = await past({ agoMs: HOUR });
    const sold = await past({ agoMs: HOUR }, SOLD);
    const unknown = anAcceptance({
      requestId: `req-${randomUUID()}`,
      itemId,
      orderId: randomUUID(),
    });
    await wipe();
    const of = (order: Order): Cancellation => ({
      order,
      at: order.acceptedAt + 5,
      generation: 0,
      unresolvedCharges: [],
    });
    await rebuild({ cancellations: [cancelled, untold, sold, unknown].map(of) });
    const found = await entries();
    for (const order of [cancelled, untold, unknown]) {
      expect(found.get(order.requestId)).toMatchObject({
        state: 'released',
        cancelledByBuyer: true,
      });
    }
    expect(found.has(sold.requestId)).toBe(false);
    expect(await counts()).toMatchObject({ free: 4, sold: 1 });
  });

  test('the entry is that of the newest acceptance under a request_id', async () => {
    await onSale(5);
    const requestId = `req-${randomUUID()}`;
    await past({ requestId, agoMs: 3 * HOUR }, FAILED);
    await past({ requestId, agoMs: HOUR, amount: 2 }, SOLD);
    await past(
      { requestId, agoMs: 0, amount: 3 },
      { status: 'failed', reason: 'request-id-reused' },
    );
    await wipe();
    expect(await rebuild()).toMatchObject({ sold: 2, free: 3 });
    expect((await entries()).size).toBe(0);
  });
});

describe('what the archive does not know', () => {
  const sale = async () => {
    await onSale(5);
    await past({ agoMs: HOUR }, SOLD);
    await wipe();
  };

  test('is a reason to refuse: records that it does not have yet', async () => {
    await sale();
    const world = { behind: 3 };
    const gap = { kind: 'archive-behind', records: 3 };
    expect(await rebuild(world)).toEqual({ kind: 'incomplete', gaps: [gap] });
    expect(await stock.redis.exists(countsKey(itemId))).toBe(0);
    const counted = { stock: { given: 'free', units: 2 }, acceptIncomplete: true } as const;
    expect(await rebuild(world, counted)).toMatchObject({ kind: 'rebuilt', free: 2, sold: 1 });
  });

  test('is a reason to refuse: an event that it could not read', async () => {
    await sale();
    await archive.fill(createRecords().append('order-events', Buffer.from('no event')));
    expect(await rebuild()).toEqual({
      kind: 'incomplete',
      gaps: [{ kind: 'events-set-aside', records: 1 }],
    });
  });

  test('is a reason to refuse: events that the log lost before they were archived', async () => {
    await sale();
    const place = { topic: 'order-events', partition: 0 };
    const hole = holeRow({ ...place, from: 4n, to: 9n });
    const stretch = { ...place, from: undefined, to: 10n };
    const changes = { ...project('order-events', []), set_aside: [hole] };
    await createArchiveStore(archive.database).write(stretch, changes);
    expect(await rebuild()).toEqual({
      kind: 'incomplete',
      gaps: [{ kind: 'events-set-aside', records: 1 }],
    });
    expect(await retrySetAside(archive.database, new Map())).toMatchObject({
      archived: 0,
      left: [{ problem: '5 records, up to 8, had left the log before they were archived' }],
    });
  });

  test('is a reason to refuse: what was sold before there was an archive', async () => {
    await onSale(5);
    const { acceptedAt } = await past({ agoMs: HOUR }, SOLD);
    await archive.pool.query("update stock_changes set kind = 'noted' where kind = 'opened'");
    await wipe();
    expect(await rebuild({ registeredAt: acceptedAt - HOUR })).toEqual({
      kind: 'incomplete',
      gaps: [{ kind: 'archive-begins-late', archivedSince: acceptedAt }],
    });
    expect(await rebuild({ registeredAt: acceptedAt })).toMatchObject({ sold: 1, free: 4 });
  });

  test('is a reason to refuse: an old order without an end whose run is forgotten', async () => {
    await onSale(5);
    const order = await past({ agoMs: 90 * 24 * HOUR });
    await wipe();
    expect(await rebuild()).toMatchObject({
      kind: 'incomplete',
      gaps: [{ kind: 'runs-forgotten', orders: 1, example: order.requestId }],
    });
  });

  test('of an item of which no change was recorded, the operator has to give the units', async () => {
    await stock.setFree(itemId, 5);
    await past({ agoMs: HOUR }, SOLD);
    await stock.redis.del(...itemKeys(itemId));
    expect(await rebuild()).toMatchObject({ kind: 'supply-unknown' });
    const given = { stock: { given: 'supply', units: 7 } } as const;
    expect(await rebuild({}, given)).toMatchObject({
      kind: 'rebuilt',
      free: 6,
      sold: 1,
      supply: 7,
    });
  });

  test('where a restock is recorded as an action and not as a change, the operator has to give the units', async () => {
    await onSale(5);
    const restock = (operation_id: string, outcome: string) =>
      createRecords().action({
        id: randomUUID(),
        phase: 'outcome',
        action: 'stock.restock',
        item_id: itemId,
        by: 'ann',
        door: 'cli',
        at: new Date(Date.now() + 60_000).toISOString(),
        request: { add: 5, operation_id },
        outcome,
      });
    const operation = { itemId, operationId: 'known', units: { add: 2 }, by: 'ann' };
    await stock.operations.restock(operation);
    await archiveStock();
    await archive.fill(restock('known', 'done'));
    await archive.fill(restock('refused', 'refused'));
    await wipe();
    const before = await knownStock({ archive: archive.database, redis: stock.redis }, itemId);
    expect(before).toMatchObject({ supply: 7 });
    await archive.fill(restock('lost', 'unknown'));
    const answer = await rebuild();
    expect(answer).toMatchObject({ kind: 'supply-unknown' });
    expect(JSON.stringify(answer)).toContain('lost');
  });

  test('has the units that were put back with refunds, and is not known where one of them is lost', async () => {
    await onSale(5, 2);
    const order = await past({ agoMs: HOUR, userId: 'ann', amount: 2 }, SOLD);
    await stock.redis.hset(countsKey(itemId), 'sold', 2, 'archived', 2, 'supply', 7);
    const restock = (operation: string) =>
      createAfterSaleLedger(stock.redis).restockSale(
        { ...order, operation, units: 1, ...WHO },
        { userId: order.userId, owned: 2 },
      );
    expect(await restock('refund/known')).toBe('restocked');
    await archiveStock();
    const refund = (operation: string) =>
      createRecords().action({
        id: randomUUID(),
        phase: 'outcome',
        action: 'order.refund',
        item_id: null,
        by: 'ann',
        door: 'http',
        at: new Date(Date.now() + 60_000).toISOString(),
        outcome: 'done',
        after: { restock: { item_id: itemId, operation, units: 1 } },
      });
    await archive.fill(refund('refund/known'));
    await wipe();
    expect(await rebuild()).toMatchObject({ kind: 'rebuilt', supply: 8, sold: 2, free: 6 });
    const [one, two] = [1, 2].map(() => anAttempt(aPurchase({ itemId, userId: 'ann' })));
    const verdicts = await stock.admission.claimAndHold(one && two ? [one, two] : []);
    expect(verdicts).toMatchObject([{ hold: { kind: 'held' } }, { hold: { kind: 'limit' } }]);
    await archive.fill(refund('refund/lost'));
    await wipe();
    expect(await rebuild()).toMatchObject({ kind: 'supply-unknown' });
  });

  test('is read from Redis where that has changes which are not archived yet', async () => {
    await onSale(5);
    await past({ agoMs: HOUR }, SOLD);
    const operation = { itemId, operationId: 'late', units: { add: 2 }, by: 'ann' };
    await stock.operations.restock(operation);
    await stock.redis.del(countsKey(itemId), `inventory:${itemId}`);
    expect(await rebuild()).toMatchObject({ kind: 'rebuilt', supply: 7, free: 6 });
  });
});
