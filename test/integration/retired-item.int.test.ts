import { createBuyAdmission } from '../../api/buy/admission';
import { createSoldOutCache } from '../../api/buy/sold-out-cache';
import { createOrderLookup } from '../../api/routes/order-lookup';
import { createEndedOrders } from '../../engine/archive/ended-orders';
import { createItemHistory } from '../../engine/archive/item-history';
import { knownStock } from '../../engine/archive/known-stock';
import { retiredAt, retireItem } from '../../engine/archive/retire-item';
import { writeStockChanges } from '../../engine/archive/stock-changes';
import { createArchive, readSoldOrders } from '../../engine/archive/archive';
import type { ItemId, Order } from '../../engine/orders/order';
import { registerAgain } from '../../engine/reconciliation/register-ledgers';
import { readAdjustments, removeAdjustments } from '../../engine/stock/adjustments';
import {
  claimKey,
  claimValue,
  FINISHED_MARK,
  freeUnitsKey,
  itemKeys,
  ordersKey,
} from '../../engine/stock/keys';
import { createLedgerOpener, createLedgerOpening } from '../../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../../engine/stock/ledger-registry';
import { createRetirement, type RetirementStep } from '../../engine/stock/retirement';
import { createTestArchive, type TestArchive } from '../support/archive';
import { createRecords } from '../support/archived-records';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { failureOf, useSaga } from '../support/saga';

let archive: TestArchive;
beforeAll(async () => {
  archive = await createTestArchive();
});
afterAll(() => archive.drop());

const saga = useSaga({
  archiveOf: () => createEndedOrders(archive.database, () => Promise.resolve(0)),
  isOpening: true,
  db: 7,
});
const { money, start, reset } = saga;
const declined = new Set<string>();
beforeAll(() => {
  money.declineIf((key) => declined.has(key.split(':')[0] ?? ''));
});

const registry = () => createLedgerRegistry(saga.client, saga.taskQueue);
const opening = () => createLedgerOpening(saga.redis);
const open = (itemId: ItemId, known = true) =>
  createLedgerOpener(opening(), registry()).resolve({ itemId, known });
const WHO = { by: 'ann', why: 'the sale is over' };

async function putOnSale(itemId: ItemId, units: number): Promise<void> {
  await saga.redis.set(freeUnitsKey(itemId), units);
  expect(await open(itemId)).toBe('opened');
}

async function aQueuedOrder(itemId: ItemId): Promise<Order> {
  const attempt = anAttempt(aPurchase({ itemId }));
  await saga.stock.admission.claimAndHold([attempt]);
  await saga.stock.admission.queue([attempt]);
  return anOrder(attempt);
}

async function archiveOf(...orders: readonly Order[]): Promise<void> {
  const records = createRecords();
  for (const order of orders) {
    await archive.fill(records.order(order), ...saga.eventsOf(order).map(records.event));
  }
}

async function archiveChanges(itemId: ItemId): Promise<void> {
  const entries = (await readAdjustments(saga.redis, [itemId], 100)).get(itemId) ?? [];
  if (entries instanceof Error) throw entries;
  await writeStockChanges(archive.database, itemId, entries);
  const ids = entries.map(([id]) => id);
  if (ids.length > 0) await removeAdjustments(saga.redis, itemId, ids);
}

/** An item with an order that was sold and one that failed, both archived. */
async function anItemSold(): Promise<{ itemId: ItemId; sold: Order; failed: Order }> {
  const itemId = anItem();
  await putOnSale(itemId, 3);
  const [sold, failed] = [await aQueuedOrder(itemId), await aQueuedOrder(itemId)];
  declined.add(failed.requestId);
  await (await start(sold)).result();
  expect(await failureOf(await start(failed))).toBe('payment-declined');
  await archiveOf(sold, failed);
  return { itemId, sold, failed };
}

const close = (itemId: ItemId) =>
  saga.stock.operations.changeSale(itemId, { closesAt: 'now' }, { by: 'ann' });

/** The changes of stock are archived before each step, unless there is no archiver. */
function retire(
  itemId: ItemId,
  {
    archiver = true,
    beforeStep = () => Promise.resolve(),
  }: { archiver?: boolean; beforeStep?: (isRemoved: boolean) => Promise<void> } = {},
) {
  const takeStep = createRetirement(saga.redis);
  let clock = 0;
  return retireItem(
    {
      takeStep: async (item, who): Promise<RetirementStep> => {
        await beforeStep(who.isRemoved ?? false);
        if (archiver) await archiveChanges(item);
        return takeStep(item, who);
      },
      archive: archive.database,
      redis: saga.redis,
      registry: registry(),
      registerAgain: (item) => registerAgain({ opening: opening(), registry: registry() }, item),
      orderRetentionMs: 3_600_000,
      // Each look is twenty seconds later.
      now: () => (clock += 20_000),
    },
    itemId,
    WHO,
  );
}

const keysOf = (itemId: ItemId) => saga.redis.keys(`*inventory:${itemId}*`);

async function aRetiredItem() {
  const item = await anItemSold();
  expect(await close(item.itemId)).toMatchObject({ kind: 'changed' });
  expect(await retire(item.itemId)).toEqual({ kind: 'retired' });
  return item;
}

describe('a retired item', () => {
  test('has nothing in Redis and no workflow that is open, and the archive has all of it', async () => {
    const { itemId, sold, failed } = await aRetiredItem();
    expect(await keysOf(itemId)).toEqual([]);
    expect(await registry().registration(itemId)).toBeUndefined();
    expect(await open(itemId, false)).toBe('unknown');
    expect(await saga.ledger.item(itemId)).toBeUndefined();
    const ended = createEndedOrders(archive.database, () => Promise.resolve(0));
    expect(await ended.endOf(sold)).toMatchObject({ status: 'confirmed' });
    expect(await ended.endOf(failed)).toMatchObject({ status: 'failed' });
    expect(await retiredAt(archive.database, itemId)).toBeGreaterThan(sold.acceptedAt);
    expect(await archive.rows('stock_changes')).toContainEqual(
      expect.objectContaining({ item_id: itemId, kind: 'retired', by: 'ann', why: WHO.why }),
    );
  });

  test('leaves the claims: a repeated request finds its order in the archive', async () => {
    const { sold } = await aRetiredItem();
    expect(await saga.redis.get(claimKey(sold.requestId))).toBe(
      `${claimValue(sold)}${FINISHED_MARK}`,
    );
    const [verdict] = await saga.stock.admission.claimAndHold([anAttempt(sold, 'again')]);
    expect(verdict).toMatchObject({ claim: 'finished' });
  });

  test('shows its orders, and answers repeated requests, from the archive', async () => {
    const { itemId, sold } = await aRetiredItem();
    const lookUp = createOrderLookup({
      ledger: saga.ledger,
      findItem: () => Promise.resolve(itemId),
      isRetired: registry().isRetired,
      archive: createArchive(archive.database),
      errors: { report: () => undefined },
    });
    const found = { archived: { status: 'confirmed', orderId: sold.orderId } };
    expect(await lookUp(sold.requestId)).toMatchObject(found);
    const { admit } = createBuyAdmission({
      admission: saga.stock.admission,
      ledgers: createLedgerOpener(opening(), registry()),
      lookUp,
      errors: { report: () => undefined },
      soldOutCache: createSoldOutCache(0),
    });
    const { requestId, userId, amount } = sold;
    const answer = await admit({ requestId, userId, itemId, amount }, 'http-1');
    expect(answer).toMatchObject({ status: 409 });
    expect(await keysOf(itemId)).toEqual([]);
  });

  test('sells nothing to an order that is run again: it ends as it did, and nothing appears in Redis', async () => {
    const { itemId, sold, failed } = await aRetiredItem();
    const told = [saga.eventsOf(sold).length, saga.eventsOf(failed).length];
    const [again, failedAgain] = [await reset(sold), await reset(failed)];
    await again.result();
    expect(await failureOf(failedAgain)).toBe('payment-declined');
    expect(money.moneyOf(sold.requestId)).toEqual({ 1: 'captured' });
    expect([saga.eventsOf(sold).length, saga.eventsOf(failed).length]).toEqual(told);
    expect(await keysOf(itemId)).toEqual([]);
  });

  test('confirms, releases and refunds nothing of late steps', async () => {
    const { sold, failed } = await aRetiredItem();
    const ledger = saga.ledgerOfRecord;
    const step = { ...sold, generation: 1, fence: Date.now(), paymentId: 'ch_late' };
    expect(await ledger.confirm(step)).toEqual({ kind: 'sold' });
    expect(await ledger.isRefundable(step)).toBe(false);
    expect(await ledger.isRefundable({ ...failed, generation: 1 })).toBe(true);
    const released = await ledger.release({ order: sold, fence: Date.now(), reason: 'sale-lost' });
    expect(released).toMatchObject({ kind: 'sold' });
  });

  test('begins anew when units are put on sale: earlier orders take none of them', async () => {
    const { itemId, sold } = await aRetiredItem();
    await putOnSale(itemId, 2);
    expect(await registry().registration(itemId)).toMatchObject({ isReopened: true });
    await (await reset(sold)).result();
    expect(await saga.countsOf({ itemId })).toMatchObject({ free: 2, sold: 0, supply: 2 });
    expect(money.moneyOf(sold.requestId)).toEqual({ 1: 'captured' });

    const next = await aQueuedOrder(itemId);
    await (await start(next)).result();
    expect(await saga.countsOf({ itemId })).toMatchObject({ free: 1, sold: 1, supply: 2 });
    await archiveOf(next);
    // A rebuild and a limit for each user know only the orders of this life.
    const units = await createItemHistory(archive.database).read(itemId, (it) => it.soldUnits());
    expect(units).toBe(1);
    const soldOrders = readSoldOrders(createArchive(archive.database))(itemId);
    const requestIds: string[] = [];
    for await (const page of soldOrders) requestIds.push(...page.map((one) => one.requestId));
    expect(requestIds).toEqual([next.requestId]);
    // And the stock of its earlier life is no supply.
    await saga.redis.del(...itemKeys(itemId));
    const known = await knownStock({ archive: archive.database, redis: saga.redis }, itemId);
    expect(known).toEqual({ problem: expect.any(String) as string });
  });

  test('is registered once, whoever opens it again', async () => {
    const { itemId } = await aRetiredItem();
    await saga.redis.set(freeUnitsKey(itemId), 2);
    const opened = await Promise.all([open(itemId), open(itemId), open(itemId)]);
    expect(opened).toEqual(['opened', 'opened', 'opened']);
  });
});

describe('an item is not retired', () => {
  test('while it is on sale, or has an end that is still to come', async () => {
    const { itemId } = await anItemSold();
    expect(await retire(itemId)).toEqual({ kind: 'on-sale' });
    await saga.stock.operations.changeSale(
      itemId,
      { closesAt: Date.now() + 60_000 },
      { by: 'ann' },
    );
    expect(await retire(itemId)).toEqual({ kind: 'on-sale' });
    expect(await retire(anItem())).toEqual({ kind: 'unknown-item' });
  });

  test('while orders are under way', async () => {
    const { itemId } = await anItemSold();
    await aQueuedOrder(itemId);
    await close(itemId);
    expect(await retire(itemId)).toEqual({ kind: 'under-way', units: 1 });
    expect(await registry().registration(itemId)).toBeDefined();
  });

  test('before the archive has the end of each order', async () => {
    const { itemId } = await anItemSold();
    const late = await aQueuedOrder(itemId);
    await (await start(late)).result();
    await close(itemId);
    expect(await retire(itemId)).toEqual({ kind: 'entries', orders: 1 });
    expect(await saga.redis.hkeys(ordersKey(itemId))).toEqual([late.requestId]);
    await archiveOf(late);
    expect(await retire(itemId)).toEqual({ kind: 'retired' });
  });

  test('before its retirement is archived', async () => {
    const { itemId } = await anItemSold();
    await close(itemId);
    expect(await retire(itemId, { archiver: false })).toMatchObject({ kind: 'changes' });
    expect(await registry().registration(itemId)).toBeDefined();
    expect(await retire(itemId)).toEqual({ kind: 'retired' });
  });

  test('while its ledger is lost', async () => {
    const { itemId } = await anItemSold();
    await close(itemId);
    await saga.redis.del(...itemKeys(itemId));
    expect(await retire(itemId)).toEqual({ kind: 'lost' });
  });

  test('when it is put on sale in the very moment, and is registered as before', async () => {
    const { itemId } = await anItemSold();
    await close(itemId);
    const result = await retire(itemId, {
      beforeStep: async (isRemoved) => {
        if (!isRemoved) return;
        await saga.stock.operations.changeSale(itemId, { closesAt: null }, { by: 'ben' });
      },
    });
    expect(result).toEqual({ kind: 'on-sale' });
    expect(await registry().registration(itemId)).toMatchObject({ isAgain: true });
    expect(await saga.countsOf({ itemId })).toMatchObject({ free: 2, sold: 1, supply: 3 });
    // Its newest change is not its retirement any more; another retirement is one.
    await close(itemId);
    expect(await retire(itemId)).toEqual({ kind: 'retired' });
    const kinds = (await archive.rows('stock_changes')).filter((row) => row['item_id'] === itemId);
    expect(kinds.filter(({ kind }) => kind === 'retired')).toHaveLength(2);
  });

  test('twice: a retirement that died behind the registry goes on', async () => {
    const { itemId } = await anItemSold();
    await close(itemId);
    const dies = retire(itemId, {
      beforeStep: (isRemoved) =>
        isRemoved ? Promise.reject(new Error('it dies here')) : Promise.resolve(),
    });
    await expect(dies).rejects.toThrow('it dies here');
    await registry().retire(itemId);
    expect(await retire(itemId)).toEqual({ kind: 'retired' });
    expect(await keysOf(itemId)).toEqual([]);
    expect(await registry().registration(itemId)).toBeUndefined();
  });
});

describe('closing an item', () => {
  test('ends its sale now, also one that has not begun', async () => {
    const itemId = anItem();
    await putOnSale(itemId, 1);
    const opensAt = Date.now() + 60_000;
    await saga.stock.operations.changeSale(itemId, { opensAt }, { by: 'ann' });
    const closed = await close(itemId);
    expect(closed).toMatchObject({ kind: 'changed' });
    const { sale } = (await saga.ledger.item(itemId)) ?? {};
    expect(sale?.opensAt).toBeUndefined();
    expect(sale?.closesAt).toBeLessThanOrEqual(Date.now() + 1_000);
    const attempt = anAttempt(aPurchase({ itemId }));
    const [verdict] = await saga.stock.admission.claimAndHold([attempt]);
    expect(verdict).toMatchObject({ hold: { kind: 'closed' } });
  });
});
