import { randomUUID } from 'node:crypto';
import { createArchiveLook } from '../../engine/reconciliation/audit-archive';
import {
  auditItem,
  createChargeLookup,
  type ReconciliationDeps,
} from '../../engine/reconciliation/audit-item';
import { createAuditProgressStore } from '../../engine/reconciliation/audit-progress';
import { auditStock } from '../../engine/reconciliation/audit-stock';
import { NO_ARCHIVE } from '../../engine/archive/ledger-of-record';
import { createOrderRuns } from '../../engine/reconciliation/order-runs';
import { repairItem } from '../../engine/reconciliation/repair-item';
import type { Cancellation } from '../../engine/orders/cancellation-record';
import { orderOf } from '../../engine/orders/ledger';
import { paymentKey, type ItemId, type Order, type RequestId } from '../../engine/orders/order';
import { createLedgerRegistry } from '../../engine/stock/ledger-registry';
import { orderCharge } from '../../engine/payments/own-charge';
import { countsKey, eventsKey, freeUnitsKey, itemKeys, ordersKey } from '../../engine/stock/keys';
import { createLedgerOpening } from '../../engine/stock/ledger-opener';
import { createLedgerMaintenance } from '../../engine/stock/ledger-maintenance';
import { eventually } from '../support/eventually';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, TOKEN } from '../support/redis-stock';
import { aSignal, failureOf, useSaga } from '../support/saga';

const saga = useSaga();
const { money, start } = saga;
/** What a repair has appended to the log, which nobody reads here. */
const appended: Order[] = [];
/** The orders of which the log has a record. */
const logged = new Set<string>();
/** How far the audit's clock is ahead, so that a test need not wait for an order to grow old. */
let aheadMs = 0;
const cancellations = new Map<RequestId, Cancellation>();
beforeEach(() => {
  cancellations.clear();
  aheadMs = 0;
  appended.length = 0;
  logged.clear();
});

function deps() {
  return {
    repair: createLedgerMaintenance(saga.redis),
    opening: createLedgerOpening(saga.redis),
    registry: createLedgerRegistry(saga.client, saga.taskQueue),
    runs: createOrderRuns(saga.client, saga.taskQueue),
    ledger: saga.ledgerOfRecord,
    provider: money.provider,
    lookUpCharges: createChargeLookup(money.provider),
    isLogRead: () => Promise.resolve(true),
    findRecords: () => Promise.resolve(logged),
    readCancellations: () => Promise.resolve(cancellations),
    appendOrder: (order: Order) => Promise.resolve(appended.push(order)),
    outcomes: saga.clients.outcomes,
    archive: NO_ARCHIVE,
    archiveLook: createArchiveLook({ archive: undefined, behind: () => Promise.resolve(0) }),
    wait: () => Promise.resolve(),
    now: () => Date.now() + aheadMs,
  };
}

async function differencesOf({ itemId }: Pick<Order, 'itemId'>) {
  const answer = await auditItem(deps(), { itemId });
  if (answer.kind === 'unknown') throw new Error('the item is unknown');
  return answer.differences;
}

const kindsOf = async (order: Pick<Order, 'itemId'>) =>
  (await differencesOf(order)).map(({ kind }) => kind).sort();

async function repaired({ itemId }: Pick<Order, 'itemId'>) {
  const differences = await differencesOf({ itemId });
  await repairItem(deps(), { itemId, differences, by: 'ann', why: 'a test' });
}

async function aRegisteredOrder(units: { supply?: number; amount?: number } = {}): Promise<Order> {
  const order = await saga.aQueuedOrder(units);
  await deps().registry.register(order.itemId, TOKEN);
  return order;
}

async function aSoldOrder(): Promise<Order> {
  const order = await aRegisteredOrder({ supply: 3, amount: 2 });
  await (await start(order)).result();
  // The server's listing may show the run as open for a second or more.
  const closed = `ItemId = '${order.itemId}' AND WorkflowType = 'orderWorkflow' AND ExecutionStatus = 'Completed'`;
  await eventually(
    'its end is listed',
    async () => (await saga.client.workflow.count(closed)).count > 0,
  );
  return order;
}

const failures: string[] = [];

/** One step of the audit of these items, as the schedule starts it. */
async function auditOf(
  itemIds: readonly ItemId[],
  {
    taskQueue = randomUUID(),
    ...more
  }: Partial<ReturnType<typeof deps>> & { taskQueue?: string } = {},
) {
  failures.length = 0;
  return auditStock({
    ...deps(),
    ...more,
    registry: { ...deps().registry, items: () => Promise.resolve(itemIds) },
    progress: createAuditProgressStore(saga.redis, taskQueue),
    onItem: () => undefined,
    onFailure: ({ itemId }) => failures.push(itemId),
    heartbeat: () => undefined,
  });
}

/** Changes an entry as nobody should, and the counts with it. */
async function rewrite(order: Order, from: string, change: Record<string, unknown>): Promise<void> {
  const key = ordersKey(order.itemId);
  const entry = JSON.parse((await saga.redis.hget(key, order.requestId)) ?? '{}') as object;
  await saga.redis.hset(key, order.requestId, JSON.stringify({ ...entry, ...change }));
  await saga.redis.hincrby(countsKey(order.itemId), from, -order.amount);
  await saga.redis.hincrby(countsKey(order.itemId), String(change['state']), order.amount);
}

describe('an audit', () => {
  test('finds nothing where an order was sold and another one failed', async () => {
    const order = await aSoldOrder();
    money.declineIf((key) => key.startsWith('poor-'));
    const poor = anOrder({ ...order, requestId: `poor-${anItem()}` as never, amount: 1 });
    await failureOf(await start(poor));
    expect(await differencesOf(order)).toEqual([]);
  });

  test('tells an unknown item from one that nobody has bought from yet', async () => {
    expect(await auditItem(deps(), { itemId: anItem() })).toEqual({ kind: 'unknown' });
    const fresh = anItem();
    await saga.redis.set(freeUnitsKey(fresh), 1);
    expect(await auditItem(deps(), { itemId: fresh })).toMatchObject({ differences: [] });
  });

  test('finds counts that differ, and a repair writes what the entries say', async () => {
    const order = await aSoldOrder();
    await saga.redis.hset(countsKey(order.itemId), 'sold', 7);
    await saga.redis.hset(`{inventory:${order.itemId}}:buyers`, 'ghost', 1);
    expect(await differencesOf(order)).toMatchObject([
      { kind: 'counts', there: 'sold is 7', should: '2' },
      { kind: 'counts', there: 'buyer ghost is 1', should: '0' },
    ]);
    await repaired(order);
    expect(await differencesOf(order)).toEqual([]);
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, sold: 2, supply: 3 });
  });

  test.each([
    ['no JSON', 'nonsense'],
    ['a state of its own', '{"state":"mine","units":1}'],
    ['less than nothing', '{"state":"sold","units":-1}'],
  ])(
    'names an entry written by hand with %s, and a repair changes nothing',
    async (_name, text) => {
      const order = await aSoldOrder();
      await saga.redis.hset(ordersKey(order.itemId), 'by-hand', text);
      await saga.redis.hset(countsKey(order.itemId), 'sold', 7);
      expect(await differencesOf(order)).toMatchObject([
        { kind: 'entry-unreadable', requestId: 'by-hand' },
      ]);
      await repaired(order);
      expect(await saga.redis.hget(ordersKey(order.itemId), 'by-hand')).toBe(text);
      expect(await saga.redis.hget(countsKey(order.itemId), 'sold')).toBe('7');
      await expect(
        deps().repair.mendCounts(order.itemId, { by: 'ann', why: 'a test' }),
      ).rejects.toThrow('by-hand cannot be read');
    },
  );

  test('names a stock key that is no number', async () => {
    const order = await aSoldOrder();
    await saga.redis.set(freeUnitsKey(order.itemId), 'many');
    expect(await kindsOf(order)).toEqual(['stock-unreadable']);
  });

  test('says of a lost ledger nothing but that it is lost', async () => {
    const order = await aSoldOrder();
    await saga.redis.del(...itemKeys(order.itemId));
    expect(await kindsOf(order)).toEqual(['ledger-lost']);
  });

  test('registers an open ledger that Temporal has forgotten', async () => {
    const order = await saga.aQueuedOrder();
    await (await start(order)).result();
    expect(await kindsOf(order)).toEqual(['ledger-unregistered']);
    await repaired(order);
    expect(await deps().registry.find(order.itemId)).toBe(TOKEN);
    expect(await differencesOf(order)).toEqual([]);
  });

  test('names money that does not fit, and leaves it alone', async () => {
    const sold = await aSoldOrder();
    await money.provider.refund(paymentKey(sold.requestId, sold.orderId, 1));
    expect(await kindsOf(sold)).toEqual(['charge-missing']);
    await repaired(sold);
    expect(money.moneyOf(sold.requestId)).toEqual({ '1': 'refunded' });
  });

  test('names a confirmed order without an entry, and believes no counts then', async () => {
    const order = await aSoldOrder();
    await saga.redis.hdel(ordersKey(order.itemId), order.requestId);
    expect(await kindsOf(order)).toEqual(['counts', 'counts', 'counts', 'entry-missing']);
    await repaired(order);
    expect(await saga.redis.hget(countsKey(order.itemId), 'sold')).toBe('2');
  });
});

describe('the audit of all items', () => {
  test('goes on with the others when the audit of one item fails, and names that one', async () => {
    const [sick, well] = [await aSoldOrder(), await aSoldOrder()];
    await saga.redis.hset(countsKey(well.itemId), 'sold', 7);
    await saga.redis.del(ordersKey(sick.itemId));
    await saga.redis.set(ordersKey(sick.itemId), 'no hash');
    const summary = await auditOf([sick.itemId, well.itemId]);
    expect(summary).toMatchObject({ items: 2, failed: [sick.itemId], differences: { counts: 1 } });
    expect(failures).toEqual([sick.itemId]);
  });

  test('stops in time and goes on in the next step, with the item that has waited longest', async () => {
    const orders = [await aSoldOrder(), await aSoldOrder(), await aSoldOrder()];
    const itemIds = orders.map(({ itemId }) => itemId);
    const taskQueue = randomUUID();
    const seen: string[] = [];
    let clock = Date.now();
    const repair = createLedgerMaintenance(saga.redis);
    const slow = {
      ...repair,
      // Each page takes longer than a step.
      page: (itemId: ItemId, cursor: string) => {
        seen.push(itemId);
        clock += 60_000;
        return repair.page(itemId, cursor);
      },
    };
    const step = () => auditOf(itemIds, { taskQueue, repair: slow, now: () => clock });
    for (let i = 0; i < itemIds.length; i++) expect((await step()).orders).toBe(1);
    expect(new Set(seen)).toEqual(new Set(itemIds));
    const behind = (await step()).completeFrom ?? Infinity;
    expect(behind).toBeLessThan(clock - 120_000);
  });

  test('keeps what it has found until a complete audit finds it mended', async () => {
    const order = await aSoldOrder();
    const taskQueue = randomUUID();
    await saga.redis.hdel(ordersKey(order.itemId), order.requestId);
    const found = { 'entry-missing': 1 };
    expect((await auditOf([order.itemId], { taskQueue })).differences).toMatchObject(found);
    // Later, when the run has long ended.
    aheadMs = 3_600_000;
    expect((await auditOf([order.itemId], { taskQueue })).differences).toMatchObject(found);
    expect((await auditOf([order.itemId], { taskQueue })).differences).toMatchObject(found);
  });

  test('counts a large item once a day, and keeps what it has found until then', async () => {
    const order = await aSoldOrder();
    const taskQueue = randomUUID();
    const repair = { ...createLedgerMaintenance(saga.redis), size: () => Promise.resolve(20_001) };
    const counts = async () =>
      (await auditOf([order.itemId], { taskQueue, repair })).differences['counts'];
    await saga.redis.hset(countsKey(order.itemId), 'sold', 7);
    expect(await counts()).toBe(1);
    await saga.redis.hset(countsKey(order.itemId), 'sold', 2);
    expect(await counts()).toBe(1);
    aheadMs = 86_500_000;
    expect(await counts()).toBeUndefined();
  });
});

describe('a repair', () => {
  test('gives back a hold whose lease is over', async () => {
    const stock = openRedisStock(0);
    const purchase = aPurchase({ itemId: anItem() });
    await stock.setFree(purchase.itemId, 1);
    await deps().registry.register(purchase.itemId, TOKEN);
    await stock.admission.claimAndHold([anAttempt(purchase)]);
    await stock.redis.quit();
    aheadMs = 10_000;
    expect(await kindsOf(purchase)).toEqual(['hold-expired']);
    await repaired(purchase);
    expect(await saga.countsOf(purchase)).toMatchObject({ free: 1, held: 0 });
    expect(await differencesOf(purchase)).toEqual([]);
  });

  test('appends the record of a queued order that was lost, as it was', async () => {
    const order = await aRegisteredOrder();
    aheadMs = 120_000;
    expect(await kindsOf(order)).toEqual(['record-lost']);
    await repaired(order);
    const acceptedAt = (await saga.entryOf(order))?.acceptedAt;
    expect(appended).toEqual([{ ...order, acceptedAt }]);
  });

  test('cancels a queued order whose buyer was told so, instead of appending its record', async () => {
    const order = await aRegisteredOrder();
    aheadMs = 120_000;
    const entry = await saga.entryOf(order);
    if (!entry) throw new Error('no entry');
    const cancelled = orderOf({ ...order, entry });
    const cancellation = { at: entry.acceptedAt, generation: 0, unresolvedCharges: [] };
    cancellations.set(order.requestId, { ...cancellation, order: cancelled });
    await repaired(order);
    expect(appended).toEqual([]);
    expect(await saga.entryOf(order)).toMatchObject({ state: 'released', reason: 'cancelled' });
    expect(saga.eventsOf(order)).toMatchObject([{ status: 'cancelled' }]);
    expect(await differencesOf(order)).toEqual([]);
  });

  test('appends nothing by itself for an order whose workflow was terminated and deleted', async () => {
    const [queued, reserved] = [await aRegisteredOrder(), await aRegisteredOrder()];
    for (const { requestId } of [queued, reserved]) logged.add(requestId);
    const [charging, answered] = [aSignal(), aSignal()];
    money.faultNext(() => {
      charging.give();
      return answered.given;
    });
    const handles = [await saga.startLater(queued), await start(reserved)];
    await charging.given;
    for (const handle of handles) await handle.terminate('an operator ends it');
    aheadMs = 120_000;
    // The server takes up to a minute to delete a run. This is what it says then.
    const latest = () => Promise.resolve(new Map());
    const runs = { ...deps().runs, latest, look: () => Promise.resolve(undefined) };
    const { differences } = await auditOf([queued.itemId, reserved.itemId], { runs });
    expect({ appended, differences }).toEqual({ appended: [], differences: { 'run-missing': 2 } });
    expect(await saga.entryOf(queued)).toMatchObject({ state: 'queued' });
    expect(await saga.entryOf(reserved)).toMatchObject({ state: 'reserved' });
    answered.give();
  });

  test.each([-3_600_000, 3_600_000])(
    'ends an order whatever the clock of this machine says: %d ms',
    async (skewMs) => {
      const order = await aRegisteredOrder({ supply: 3, amount: 2 });
      await (await start(order)).result();
      const entry = await saga.entryOf(order);
      await rewrite(order, 'sold', { state: 'reserved', owed: '1,', finished_at: undefined });
      aheadMs = skewMs;
      const runs = { ...deps().runs, look: () => Promise.resolve(CANCELLED) };
      const difference = { kind: 'workflow-over', there: '', should: '', mend: 'give-up' } as const;
      const differences = [{ ...difference, requestId: order.requestId }];
      const { itemId } = order;
      await repairItem({ ...deps(), runs }, { itemId, differences, by: 'ann', why: 'a test' });
      const after = await saga.entryOf(order);
      expect(after?.state).toBe('released');
      // A fence of the future would make the next runs of the order too late.
      expect(after?.fence).toBe(entry?.fence);
    },
  );

  test('lets an order go on whose workflow was terminated in mid-charge, and it is charged once', async () => {
    const order = await aRegisteredOrder();
    const [charging, answered] = [aSignal(), aSignal()];
    money.faultNext(() => {
      charging.give();
      return answered.given;
    });
    const payment = { method: 'pm_1', customer: 'cus_1' };
    const handle = await start({ ...order, payment });
    await charging.given;
    await handle.terminate('an operator slipped');
    // The server's listing may show the run as open for a second or more.
    await eventually('its end is listed', async () => (await kindsOf(order)).length > 0);
    expect(await kindsOf(order)).toEqual(['workflow-over']);
    await repaired(order);
    await eventually('it is sold', async () => (await saga.entryOf(order))?.state === 'sold');
    answered.give();
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    // The entry has no card, and the run that was terminated had.
    const { runId } = await saga.handleOf(order).describe();
    const again = await deps().runs.history(order.requestId, runId);
    expect(again.order.payment).toEqual(payment);
    await eventually('nothing differs', async () => (await differencesOf(order)).length === 0);
  });

  test('sells a reserved order whose workflow was confirmed', async () => {
    const order = await aSoldOrder();
    await rewrite(order, 'sold', { state: 'reserved', owed: '1,', finished_at: undefined });
    expect(await kindsOf(order)).toEqual(['workflow-over']);
    await repaired(order);
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, reserved: 0, sold: 2, supply: 3 });
    expect(saga.eventsOf(order)).toMatchObject([{ status: 'confirmed' }, { status: 'confirmed' }]);
    expect(await differencesOf(order)).toEqual([]);
  });

  test('gives back a reserved order whose workflow was cancelled, and its money', async () => {
    const order = await aSoldOrder();
    const other = await aRegisteredOrder();
    const handle = await start(other, 'REJECT_DUPLICATE');
    await handle.result();
    expect(await differencesOf(order)).toEqual([]);
    const runs = { ...deps().runs, look: () => Promise.resolve(CANCELLED) };
    await rewrite(order, 'sold', { state: 'reserved', owed: '1,', finished_at: undefined });
    const differences = [
      { kind: 'workflow-over', there: '', should: '', mend: 'give-up', ...order } as const,
    ];
    const { itemId } = order;
    await repairItem({ ...deps(), runs }, { itemId, differences, by: 'ann', why: 'a test' });
    expect(await saga.entryOf(order)).toMatchObject({
      state: 'released',
      reason: 'cancelled',
      unresolvedCharges: [],
    });
    expect(await saga.countsOf(order)).toMatchObject({ free: 3, reserved: 0, supply: 3 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(saga.eventsOf(order)).toMatchObject([{ status: 'confirmed' }, { status: 'cancelled' }]);
  });

  test.each([
    ['which nobody pays', undefined, 'cancelled'],
    ['which is paid', 'approve', 'refunded'],
    ['which a bank decides', 'processing', 'refunded'],
  ] as const)(
    'ends the payment of an order that its buyer pays before its units go, %s',
    async (_, action, ended) => {
      const order = await saga.aQueuedOrder({ payWithinMs: 600_000 });
      const { itemId } = order;
      await saga.ledger.reserve(order, 1);
      const charge = orderCharge(order, 1);
      await money.provider.checkout(charge);
      if (action) money.pay(charge.key, action);
      const runs = { ...deps().runs, look: () => Promise.resolve(CANCELLED) };
      const differences = [
        { kind: 'workflow-over', there: '', should: '', mend: 'give-up', ...order } as const,
      ];
      const giveUp = () =>
        repairItem({ ...deps(), runs }, { itemId, differences, by: 'ann', why: 'a test' });
      const seen: unknown[] = [];
      money.faultNext(async (verb) => {
        seen.push(verb, (await saga.entryOf(order))?.state);
      });
      await giveUp();
      expect(seen).toEqual(['cancel', 'reserved']);
      if (action === 'processing') {
        expect(await saga.entryOf(order)).toMatchObject({ state: 'reserved' });
        expect(saga.eventsOf(order)).toEqual([]);
        money.pay(charge.key, 'approve');
        await giveUp();
      }
      expect(await saga.entryOf(order)).toMatchObject({ state: 'released', unresolvedCharges: [] });
      expect(money.moneyOf(order.requestId)).toEqual({ '1': ended });
    },
  );

  test('goes on with the others when an end cannot be told, and says so', async () => {
    const order = await aSoldOrder();
    const purchase = await aRegisteredOrder();
    await rewrite(order, 'sold', { state: 'reserved', owed: '1,', finished_at: undefined });
    const outcomes = { publish: () => Promise.reject(new Error('Kafka takes no events')) };
    const differences = await differencesOf(order);
    const twice = [...differences, ...differences];
    const { itemId } = order;
    const repair = repairItem(
      { ...deps(), outcomes },
      { itemId, differences: twice, by: 'ann', why: 'a test' },
    );
    await expect(repair).rejects.toThrow('the ends of 2 repaired orders could not be told');
    expect(await differencesOf(order)).toEqual([]);
    expect(await differencesOf(purchase)).toEqual([]);
  });
});

const CANCELLED = { status: 'cancelled', runId: 'run', fingerprint: undefined } as const;

describe('an audit of an item with many orders', () => {
  const increment = async (order: Order, since: number, more: Partial<ReconciliationDeps> = {}) => {
    const { itemId } = order;
    const scope = { itemId, changedSince: since, runsSince: since, readEachTimeMax: 0 };
    const answer = await auditItem({ ...deps(), ...more }, scope);
    if (answer.kind === 'unknown') throw new Error('the item is unknown');
    return { ...answer, kinds: answer.differences.map(({ kind }) => kind) };
  };

  test('reads what has changed, and what has ended', async () => {
    const order = await aSoldOrder();
    expect(await increment(order, 0)).toMatchObject({ orders: 1, kinds: [], isWhole: false });
    const waiting = anAttempt(aPurchase({ itemId: order.itemId }));
    await saga.stock.admission.claimAndHold([waiting]);
    await saga.stock.admission.queue([waiting]);
    const handle = await saga.startLater(anOrder(waiting));
    const since = await eventually('nothing has changed since', async () => {
      const now = Date.now();
      return (await increment(order, now)).orders === 0 ? now : undefined;
    });
    await handle.terminate('an operator slipped');
    await eventually('its end is found', async () => {
      const { kinds } = await increment(order, since);
      return kinds.includes('workflow-over');
    });
  });

  test('reads all of it where the stream of changes does not go back so far', async () => {
    const order = await aSoldOrder();
    await saga.redis.xtrim(eventsKey(order.itemId), 'MAXLEN', 0);
    expect(await increment(order, Date.now() - 60_000)).toMatchObject({ orders: 1, isWhole: true });
    await saga.redis.del(eventsKey(order.itemId));
    expect(await increment(order, 0)).toMatchObject({ orders: 1, isWhole: true });
  });
});

test('a sold order that has left the ledger is no missing one, unless the archive does not know it', async () => {
  const order = await aSoldOrder();
  await saga.redis.hdel(ordersKey(order.itemId), order.requestId);
  await saga.redis.hset(countsKey(order.itemId), 'archived', order.amount);
  expect(await kindsOf(order)).toContain('entry-missing');
  await saga.redis.hset(countsKey(order.itemId), 'archived_until', order.acceptedAt);
  const kinds = async (known: readonly RequestId[]) => {
    const archive = { soldAmong: () => Promise.resolve(new Set(known)) };
    const answer = await auditItem({ ...deps(), archive }, { itemId: order.itemId });
    return answer.kind === 'audited' ? answer.differences.map(({ kind }) => kind) : [];
  };
  expect(await kinds([])).toEqual(['entry-missing', 'counts']);
  expect(await kinds([order.requestId])).toEqual(['counts']);
});
