import fc from 'fast-check';
import {
  orderKey,
  project,
  RULES,
  setAside,
  type Changes,
} from '../../../engine/archive/projection';
import {
  aLetter,
  anAcceptance,
  anEvent,
  batches,
  createRecords,
  deliveries,
  manyRecords,
  type Archived,
} from '../../support/archived-records';
import { propertyRuns } from '../../support/property-runs';

const ORDER = anAcceptance({ requestId: 'req-1', orderId: 'order-1', userId: 'u1', amount: 2 });

const projected = (archived: readonly Archived[]): Changes =>
  project(
    archived[0]?.log ?? 'orders',
    archived.map(({ record }) => record),
  );

describe('an order', () => {
  test('is queued while only its record is known', () => {
    const { orders, order_events } = projected([createRecords().order(ORDER)]);
    expect(order_events).toEqual([]);
    expect(orders).toEqual([
      {
        order_id: 'order-1',
        request_id: 'req-1',
        item_id: '101',
        user_id: 'u1',
        amount: 2,
        price_minor: 1000,
        currency: 'USD',
        accepted_at: '2023-11-14T22:13:20.000Z',
        status: 'queued',
        reason: null,
        payment_id: null,
        generation: 0,
        revision: 0,
        finished_at: null,
        pay_within_ms: null,
      },
    ]);
  });

  test('is what its newest event says, whichever comes last', () => {
    const records = createRecords();
    const failed = anEvent(ORDER, { revision: 4, status: 'failed', reason: 'payment-declined' });
    const sold = anEvent(ORDER, { revision: 12, paymentId: 'pay-1', generation: 2 });
    const { orders, order_events } = projected([records.event(sold), records.event(failed)]);
    expect(order_events.map(({ revision }) => revision)).toEqual([12, 4]);
    expect(orders).toMatchObject([
      { status: 'confirmed', payment_id: 'pay-1', generation: 2, reason: null, revision: 12 },
    ]);
  });

  test('without an order id is known by its request_id and its acceptance', () => {
    const old = { ...ORDER, orderId: undefined };
    const records = createRecords();
    const { orders } = projected([records.order(old), records.order(old)]);
    expect(orders.map(({ order_id }) => order_id)).toEqual(['req-1@1700000000000']);
    expect(orderKey(ORDER)).toBe('order-1');
  });
});

test('the letter of an order without an order id names it by what the order is kept under', async () => {
  const letter = await createRecords().letter(aLetter({ ...ORDER, orderId: undefined }));
  expect(projected([letter]).dead_letters).toMatchObject([{ order_id: 'req-1@1700000000000' }]);
});

test('the outcome of an action replaces its intent, and not the other way round', () => {
  const records = createRecords();
  const intent = { id: 'a1', phase: 'intent', action: 'stock.open', by: 'ann', at: '2026-11-29' };
  const outcome = { ...intent, phase: 'outcome', outcome: 'done', after: { free: 5 } };
  const { operator_actions } = projected([records.action(outcome), records.action(intent)]);
  expect(operator_actions).toMatchObject([{ outcome: 'done', after: '{"free":5}' }]);
});

describe('a record that is none of its log', () => {
  test.each([
    ['orders', Buffer.from('\0'), 'not JSON'],
    ['orders', null, 'no value'],
    ['order-events', Buffer.from('{}'), 'specversion'],
    ['operator-actions', Buffer.from('{}'), 'not a record of an action'],
  ] as const)('of %s is set aside: %j', (log, value, problem) => {
    const changes = projected([createRecords().append(log, value)]);
    expect(changes).toMatchObject({
      orders: [],
      order_events: [],
      operator_actions: [],
      set_aside: [{ topic: log, partition: 0, record_offset: '0', value }],
    });
    expect(changes.set_aside[0]?.problem).toContain(problem);
    // PostgreSQL has no NUL in a text, and what is set aside must not be refused.
    expect(changes.set_aside[0]?.problem).not.toContain('\0');
  });

  test('an order from the year 10000 is set aside', () => {
    const order = { ...ORDER, acceptedAt: Number.MAX_SAFE_INTEGER };
    const { orders, set_aside } = projected([createRecords().order(order)]);
    expect(orders).toEqual([]);
    expect(set_aside).toHaveLength(1);
  });

  test('what PostgreSQL refuses changes nothing else', () => {
    const changes = setAside(createRecords().order(ORDER).record, 'refused');
    expect(Object.values(changes).flat()).toMatchObject([{ problem: 'refused', topic: 'orders' }]);
  });
});

test('any order, repetition and split of the records give the same rows', async () => {
  const { seed, numRuns } = propertyRuns(200);
  const records = await manyRecords(seed);
  const expected = archiveOf(batches(records));
  expect(expected.size).toBeGreaterThan(8);
  fc.assert(
    fc.property(deliveries(records), (delivered) => {
      expect(archiveOf(delivered)).toEqual(expected);
    }),
    { seed, numRuns },
  );
});

/** What the database does with the changes, in memory. */
function archiveOf(delivered: readonly Archived[][]): ReadonlyMap<string, unknown> {
  const rows = new Map<string, unknown>();
  const merge = (table: keyof Changes, changes: Changes) => {
    const { key, isBetter } = RULES[table];
    for (const row of changes[table]) {
      const name = `${table} ${key(row as never)}`;
      if (!rows.has(name) || isBetter(row as never, rows.get(name) as never)) rows.set(name, row);
    }
  };
  for (const batch of delivered) {
    const changes = projected(batch);
    for (const table of Object.keys(changes) as (keyof Changes)[]) merge(table, changes);
  }
  return rows;
}
