import { randomUUID } from 'node:crypto';
import { createAuditedOrders } from '../../engine/archive/audited-orders';
import { createEndedOrders } from '../../engine/archive/ended-orders';
import { project, setAside } from '../../engine/archive/projection';
import { createArchiveStore } from '../../engine/archive/store';
import { partitionCount } from '../../engine/kafka/topics';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { Order, OrderId } from '../../engine/orders/order';
import { PAY_WITHIN_MS_MIN } from '../../engine/orders/sale';
import type { Cancellation } from '../../engine/orders/cancellation-record';
import { archiveLookOf, createArchiveLook } from '../../engine/reconciliation/audit-archive';
import {
  auditItem,
  createChargeLookup,
  type AuditScope,
} from '../../engine/reconciliation/audit-item';
import { createAuditProgressStore } from '../../engine/reconciliation/audit-progress';
import { auditStock } from '../../engine/reconciliation/audit-stock';
import { createOrderRuns } from '../../engine/reconciliation/order-runs';
import { repairItem } from '../../engine/reconciliation/repair-item';
import { countsKey, ordersKey } from '../../engine/stock/keys';
import { createLedgerMaintenance } from '../../engine/stock/ledger-maintenance';
import { createLedgerOpening } from '../../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../../engine/stock/ledger-registry';
import { useRealLog } from '../engine/kafka/real-log';
import { allRows, createTestArchive, type TestArchive } from '../support/archive';
import { anAcceptance, anEvent, createRecords } from '../support/archived-records';
import { eventually } from '../support/eventually';
import { TOKEN } from '../support/redis-stock';
import { failureOf, useSaga } from '../support/saga';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let archive: TestArchive;
beforeAll(async () => {
  archive = await createTestArchive();
});
afterAll(() => archive.drop());

const log = useRealLog();
afterEach(() => log.closeAll());
const saga = useSaga();
const { money, start } = saga;
const declined = new Set<string>();
beforeAll(() => {
  money.declineIf((key) => declined.has(key.split(':')[0] ?? ''));
});

/** What the audit has told, repetitions included. */
const told: string[] = [];
const cancellations = new Map<Order['requestId'], Cancellation>();
/** How far the audit's clock is ahead, so that a test need not wait for an order to grow old. */
let aheadMs = 0;
/** Records that the archive misses. */
let behind = 0;
let isAway = false;
beforeEach(async () => {
  await archive.empty();
  await archive.pool.query('truncate stock_changes');
  told.length = 0;
  cancellations.clear();
  [aheadMs, behind, isAway] = [11 * MINUTE, 0, false];
});

function deps() {
  const archived = createAuditedOrders(archive.database);
  const away = () => Promise.reject(new Error('the archive is away'));
  const { outcomes } = saga.clients;
  return {
    repair: createLedgerMaintenance(saga.redis),
    opening: createLedgerOpening(saga.redis),
    registry: createLedgerRegistry(saga.client, saga.taskQueue),
    runs: createOrderRuns(saga.client, saga.taskQueue),
    ledger: saga.ledgerOfRecord,
    provider: money.provider,
    lookUpCharges: createChargeLookup(money.provider),
    isLogRead: () => Promise.resolve(true),
    findRecords: () => Promise.resolve(new Set<string>()),
    readCancellations: () => Promise.resolve(cancellations),
    appendOrder: () => Promise.reject(new Error('no record is lost here')),
    outcomes: {
      publish: async (order: Order, end?: LedgerEntry) => {
        await outcomes.publish(order, end);
        told.push(order.requestId);
      },
    },
    archive: createEndedOrders(archive.database, () => Promise.resolve(0)),
    archiveLook: createArchiveLook({
      archive: isAway ? { ...archived, untold: away, unended: away, units: away } : archived,
      behind: () => Promise.resolve(behind),
    }),
    wait: () => Promise.resolve(),
    now: () => Date.now() + aheadMs,
  };
}

async function look({ itemId }: Order, scope: Partial<AuditScope> = {}) {
  const answer = await auditItem(deps(), { itemId, ...scope });
  if (answer.kind === 'unknown') throw new Error('the item is unknown');
  return answer;
}
const kindsOf = async (order: Order) => (await look(order)).differences.map(({ kind }) => kind);

async function repaired(order: Order): Promise<void> {
  const { differences } = await look(order);
  const { itemId } = order;
  await repairItem(deps(), { itemId, differences, by: 'ann', why: 'a test' });
}

/** A step of the audit of an item, as the schedule starts it. */
async function step({ itemId }: Order, taskQueue: string = randomUUID()) {
  return auditStock({
    ...deps(),
    registry: { ...deps().registry, items: () => Promise.resolve([itemId]) },
    progress: createAuditProgressStore(saga.redis, taskQueue),
    onItem: () => undefined,
    onFailure: ({ error }) => {
      throw error;
    },
    heartbeat: () => undefined,
  });
}

type Named = Order & { readonly orderId: OrderId };

async function anOrderOf(ended: 'sold' | 'failed'): Promise<Named> {
  const order = (await saga.aQueuedOrder({ supply: 3, amount: 2 })) as Named;
  if (ended === 'failed') declined.add(order.requestId);
  await deps().registry.register(order.itemId, TOKEN);
  const handle = await start(order);
  await (ended === 'failed' ? failureOf(handle) : handle.result());
  const closed = `ItemId = '${order.itemId}' AND WorkflowType = 'orderWorkflow' AND ExecutionStatus != 'Running'`;
  await eventually(
    'its end is listed',
    async () => (await saga.client.workflow.count(closed)).count > 0,
  );
  const acceptedAt = (await saga.entryOf(order))?.acceptedAt ?? 0;
  return { ...order, acceptedAt };
}

/** The archiver: the acceptance, and whatever was told of the order by now. */
async function archiveEnd(order: Order): Promise<void> {
  await archive.fill(...saga.eventsOf(order).map(createRecords().event));
}
const archiveAcceptance = (order: Order) => archive.fill(createRecords().order(order));
/** As the archiver records what has opened the ledger. */
const recordOpening = ({ itemId }: Order, kind = 'opened', seq = 0) =>
  archive.pool.query(
    `insert into stock_changes (item_id, at, seq, kind, free, supply, is_open)
     values ($1, now(), $3, $2, 3, 3, true)`,
    [itemId, kind, seq],
  );
/** Takes the entry out of Redis, as if Redis had lost it. */
const loseEntry = ({ itemId, requestId }: Order) => saga.redis.hdel(ordersKey(itemId), requestId);

describe('an end that the archive was not told', () => {
  test.each(['sold', 'failed'] as const)(
    'of a %s order is told again, under the same id, and all of the order is in the archive',
    async (ended) => {
      const order = await anOrderOf(ended);
      await archiveAcceptance(order);
      await archiveEnd(order);
      const expected = await allRows(archive);
      await archive.empty();
      expect(await kindsOf(order)).toEqual(['untold']);
      expect((await step(order)).differences).toEqual({});
      expect(told).toEqual([order.requestId]);
      expect(saga.eventsOf(order)).toHaveLength(1);
      await archiveEnd(order);
      expect(await allRows(archive)).toEqual(expected);
      expect(await kindsOf(order)).toEqual([]);
    },
  );

  test('is none while its event may be on its way', async () => {
    const order = await anOrderOf('sold');
    aheadMs = 9 * MINUTE;
    expect(await kindsOf(order)).toEqual([]);
  });

  test('is told by its run while that is open', async () => {
    const order = await anOrderOf('sold');
    const run = await deps().runs.look(order.requestId);
    if (!run) throw new Error('no run');
    const runs = {
      ...deps().runs,
      look: () => Promise.resolve({ ...run, status: 'running' as const }),
    };
    const answer = await auditItem({ ...deps(), runs }, order);
    expect(answer).toMatchObject({ differences: [] });
  });

  test('is none where its record was set aside', async () => {
    const order = await anOrderOf('sold');
    const { record } = createRecords().append('order-events', Buffer.from('no event'));
    const own = { ...record, key: Buffer.from(order.requestId) };
    const place = { topic: 'order-events', partition: 0, from: undefined, to: 1n };
    await createArchiveStore(archive.database).write(place, setAside(own, 'a test'));
    expect(await kindsOf(order)).toEqual([]);
  });

  test('is an earlier end: the archive learns of the one after it', async () => {
    const order = await anOrderOf('sold');
    const [event] = saga.eventsOf(order);
    await archive.fill(
      createRecords().event(anEvent(order, { revision: 1, status: 'failed', at: event?.at ?? 0 })),
    );
    expect(await kindsOf(order)).toEqual(['untold']);
  });

  test('is found among what has changed', async () => {
    const order = await anOrderOf('sold');
    const answer = await look(order, { changedSince: 0, readEachTimeMax: 0, isArchiveDue: false });
    expect(answer).toMatchObject({ isWhole: false, differences: [{ kind: 'untold' }] });
  });

  test('is looked for among all orders once a day, among those that ended of late each time', async () => {
    const order = await anOrderOf('sold');
    await archiveEnd(order);
    const taskQueue = randomUUID();
    await step(order, taskQueue);
    aheadMs += HOUR;
    await step(order, taskQueue);
    await archive.empty();
    await step(order, taskQueue);
    expect(told).toEqual([]);
    aheadMs += 24 * HOUR;
    await step(order, taskQueue);
    expect(told).toEqual([order.requestId]);
  });
});

describe('nothing is said of an archive', () => {
  test('that is behind the log; the rest is audited, and why is said', async () => {
    const order = await anOrderOf('sold');
    await saga.redis.hset(countsKey(order.itemId), 'sold', 7);
    behind = 3;
    expect(await look(order)).toMatchObject({
      differences: [{ kind: 'counts' }],
      archiveProblem: '3 records of Kafka are missing',
    });
    expect(await step(order)).toMatchObject({
      differences: { counts: 1 },
      archiveProblem: '3 records of Kafka are missing',
    });
    expect(told).toEqual([]);
  });

  test('that does not have what Kafka has now', async () => {
    const order = await anOrderOf('sold');
    const topics = await log.topics();
    const topic = topics.orderEventsTopic;
    const { database } = archive;
    const lookNow = () =>
      auditItem(
        { ...deps(), archiveLook: archiveLookOf({ database, kafka, topics: [topic] }) },
        order,
      );
    const kafka = log.kafka();
    const producer = await log.producer(topic, await partitionCount(kafka, topic));
    const { partition } = await producer.append({ key: 'k', value: Buffer.from('an event') });
    expect(await lookNow()).toMatchObject({
      differences: [],
      archiveProblem: '1 records of Kafka are missing',
    });
    const place = { topic, partition, from: undefined, to: 1n };
    await createArchiveStore(database).write(place, project('order-events', []));
    expect(await lookNow()).toMatchObject({ differences: [{ kind: 'untold' }] });
  });

  test('that is away; it is looked for as soon as it is back', async () => {
    const order = await anOrderOf('sold');
    const taskQueue = randomUUID();
    isAway = true;
    aheadMs = HOUR;
    expect(await step(order, taskQueue)).toMatchObject({
      differences: {},
      failed: [],
      archiveProblem: 'the archive is away',
    });
    isAway = false;
    aheadMs += MINUTE;
    await step(order, taskQueue);
    expect(told).toEqual([order.requestId]);
  });
});

describe('an order without an end in the archive, which is not in the ledger', () => {
  beforeEach(() => {
    aheadMs = 2 * HOUR;
  });

  test('has the end that its workflow knows, under the id that it had', async () => {
    const order = await anOrderOf('failed');
    await archiveAcceptance(order);
    await loseEntry(order);
    expect(await look(order)).toMatchObject({
      differences: [{ kind: 'untold', requestId: order.requestId, mend: 'tell' }],
    });
    await step(order);
    expect(told).toEqual([order.requestId]);
    expect(saga.eventsOf(order)).toHaveLength(1);
    await archiveEnd(order);
    expect(await kindsOf(order)).toEqual([]);
  });

  test('is a difference until it is decided, where nobody knows an end of it', async () => {
    const known = await anOrderOf('sold');
    await archiveEnd(known);
    const { itemId } = known;
    const fields = { itemId, amount: 1, orderId: randomUUID(), acceptedAt: Date.now() };
    const order = anAcceptance({ ...fields, requestId: `req-${randomUUID()}` });
    await archiveAcceptance(order);
    const taskQueue = randomUUID();
    for (const away of [false, false, true, false]) {
      isAway = away;
      aheadMs += MINUTE;
      expect((await step(order, taskQueue)).differences).toEqual({ unended: 1 });
    }
    expect(told).toEqual([]);
    await repaired(order);
    await saga.handleOf(order).result();
    expect(saga.eventsOf(order)).toMatchObject([{ status: 'confirmed' }]);
    await archiveEnd(order);
    expect((await step(order, taskQueue)).differences).toEqual({});
  });

  test('waits for its buyer to pay once it is started again, where it was accepted so', async () => {
    const known = await anOrderOf('sold');
    await archiveEnd(known);
    const { itemId } = known;
    const fields = { itemId, amount: 1, orderId: randomUUID(), acceptedAt: Date.now() };
    const requestId = `req-${randomUUID()}`;
    const order = { ...anAcceptance({ ...fields, requestId }), payWithinMs: PAY_WITHIN_MS_MIN };
    await archiveAcceptance(order);
    await repaired(order);
    const ended = { outcome: 'cancelled', reason: 'payment-deadline' };
    expect(await saga.handleOf(order).result()).toEqual(ended);
    // Nobody was charged.
    expect(saga.money.moneyOf(order.requestId)).toEqual({ '1': 'blocked' });
  });

  test('is not started again but told as cancelled, where its buyer was told so', async () => {
    const known = await anOrderOf('sold');
    await archiveEnd(known);
    const { itemId } = known;
    const fields = { itemId, orderId: randomUUID(), acceptedAt: Date.now() };
    const order = anAcceptance({ ...fields, requestId: `req-${randomUUID()}` });
    await archiveAcceptance(order);
    const at = order.acceptedAt + 1;
    cancellations.set(order.requestId, { order, at, generation: 0, unresolvedCharges: [] });
    await repaired(order);
    expect(await deps().runs.look(order.requestId)).toBeUndefined();
    expect(saga.eventsOf(order)).toMatchObject([{ status: 'cancelled', at }]);
  });

  test('is none while its workflow is open', async () => {
    const order = await anOrderOf('failed');
    await archiveAcceptance(order);
    await loseEntry(order);
    const run = await deps().runs.look(order.requestId);
    if (!run) throw new Error('no run');
    const runs = {
      ...deps().runs,
      look: () => Promise.resolve({ ...run, status: 'running' as const }),
    };
    expect(await auditItem({ ...deps(), runs }, order)).toMatchObject({ differences: [] });
  });

  test('is none where the ledger has it', async () => {
    const order = (await saga.aQueuedOrder()) as Named;
    await deps().registry.register(order.itemId, TOKEN);
    await archiveAcceptance(order);
    // Its workflow is gone, which is another matter.
    expect(await kindsOf(order)).not.toContain('unended');
  });
});

describe("the archive's units of an item", () => {
  async function another(order: Order, amount: number): Promise<void> {
    const { itemId, acceptedAt } = order;
    const requestId = `req-${randomUUID()}`;
    const other = anAcceptance({ itemId, amount, requestId, orderId: randomUUID(), acceptedAt });
    await archive.fill(createRecords().event(anEvent(other)));
  }
  const soldOrder = async () => {
    const order = await anOrderOf('sold');
    await archiveEnd(order);
    return order;
  };

  test('are the counts of its ledger, those of orders that have left included', async () => {
    const order = await soldOrder();
    await recordOpening(order);
    expect(await look(order)).toMatchObject({ differences: [], areUnitsCompared: true });
    await loseEntry(order);
    await saga.redis.hset(countsKey(order.itemId), 'archived', 2, 'archived_until', Date.now());
    await saga.redis.del(`{inventory:${order.itemId}}:buyers`);
    expect(await look(order)).toMatchObject({ differences: [], areUnitsCompared: true });
  });

  test('that deviate are a difference until they do not', async () => {
    const order = await soldOrder();
    await recordOpening(order);
    await another(order, 3);
    expect((await look(order)).differences).toEqual([
      {
        kind: 'archive-counts',
        there: '5 units are sold in the archive',
        should: '2, as in the ledger',
      },
    ]);
    const taskQueue = randomUUID();
    for (let i = 0; i < 2; i++) {
      expect((await step(order, taskQueue)).differences).toEqual({ 'archive-counts': 1 });
    }
    await archive.pool.query('delete from orders where amount = 3');
    expect((await step(order, taskQueue)).differences).toEqual({});
    await another(order, 3);
    // Once a day.
    expect((await step(order, taskQueue)).differences).toEqual({});
    aheadMs += 25 * HOUR;
    expect((await step(order, taskQueue)).differences).toEqual({ 'archive-counts': 1 });
  });

  test('are those since the item was last retired', async () => {
    const order = await soldOrder();
    await another(order, 3);
    const early = new Date(order.acceptedAt - HOUR);
    await archive.pool.query(
      'update orders set accepted_at = $1, left_ledger_at = $1 where amount = 3',
      [early],
    );
    await archive.pool.query(
      `insert into stock_changes (item_id, at, seq, kind, free, supply, is_open)
       values ($1, $2, 0, 'accepted', 3, 3, true), ($1, $2, 1, 'retired', 0, 3, true)`,
      [order.itemId, early],
    );
    await recordOpening(order);
    expect(await look(order)).toMatchObject({ differences: [], areUnitsCompared: true });
  });

  test('are compared with those of orders under way as well', async () => {
    const order = (await saga.aQueuedOrder({ supply: 3, amount: 2 })) as Named;
    await deps().registry.register(order.itemId, TOKEN);
    await recordOpening(order);
    const runs = { ...deps().runs, look: () => Promise.resolve(OPEN), latest: () => latest(order) };
    const { itemId } = order;
    const differences = async () => {
      const answer = await auditItem({ ...deps(), runs }, { itemId });
      return answer.kind === 'audited' ? answer.differences : [];
    };
    expect(await differences()).toMatchObject([
      { there: '0 units are queued or reserved in the archive', should: '2, as in the ledger' },
    ]);
    await archiveAcceptance(order);
    expect(await differences()).toEqual([]);
  });

  test.each([
    ['the item has changed of late', 9 * MINUTE, ['opened']],
    ['the ledger was opened before there was an archive', 11 * MINUTE, []],
    ['an operator has opened it without its orders', 11 * MINUTE, ['opened', 'accepted']],
  ])('are no difference where %s', async (_name, ahead, openings) => {
    const order = await soldOrder();
    for (const [seq, kind] of openings.entries()) await recordOpening(order, kind, seq);
    await another(order, 3);
    aheadMs = ahead;
    expect(await kindsOf(order)).toEqual([]);
  });
});

const OPEN = { status: 'running', runId: 'run', fingerprint: undefined } as const;
const latest = ({ requestId }: Order) => Promise.resolve(new Map([[requestId, OPEN]]));
