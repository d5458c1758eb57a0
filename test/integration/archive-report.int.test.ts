import { writeRefusals } from '../../engine/archive/refusals';
import { reportSale } from '../../engine/archive/report';
import type { ItemId } from '../../engine/orders/order';
import { createTestArchive, type TestArchive } from '../support/archive';

let archive: TestArchive;
beforeAll(async () => {
  archive = await createTestArchive();
}, 60_000);
afterAll(() => archive.drop());
beforeEach(() => archive.empty());

const ITEM = '101' as ItemId;
const START = Date.parse('2026-01-05T12:00:00.000Z');
const at = (seconds: number) => new Date(START + seconds * 1_000).toISOString();

/** An order of one unit that was accepted at `from` and ended at `to`, in seconds. */
async function add(name: string, from: number, to: number | null, fields: object = {}) {
  const row = {
    order_id: name,
    request_id: `req-${name}`,
    item_id: ITEM,
    user_id: `user-${name}`,
    amount: 1,
    price_minor: 1000,
    currency: 'USD',
    accepted_at: at(from),
    status: to === null ? 'queued' : 'confirmed',
    reason: null,
    payment_id: null,
    generation: 1,
    revision: to === null ? 0 : START + to * 1_000,
    finished_at: to === null ? null : at(to),
    ...fields,
  };
  await archive.database
    .insertInto('orders')
    .values(row as never)
    .execute();
}

test('a report has units, buyers, money, reasons, times and a curve', async () => {
  await add('a', 0, 1, { amount: 2 });
  await add('b', 0.5, 3, { user_id: 'user-a', price_minor: 500 });
  await add('c', 1, 2, { status: 'failed', reason: 'payment-declined' });
  await add('d', 1, 2, { status: 'cancelled' });
  await add('e', 2, null);
  await add('other', 0, 9, { item_id: '202' });
  const refund = (id: string, status: 'succeeded' | 'failed', amount: number) => ({
    order_id: 'a',
    kind: 'refund' as const,
    id,
    operation_id: null,
    amount_minor: amount,
    status,
    reason: null,
    at: at(5),
  });
  const refunds = [
    refund('re_1', 'succeeded', 300),
    refund('re_2', 'succeeded', 500),
    refund('re_3', 'failed', 900),
    { ...refund('dp_1', 'failed', 100), kind: 'dispute' as const, status: 'lost' as const },
  ];
  await archive.database.insertInto('order_returns').values(refunds).execute();
  await archive.pool.query(
    `insert into stock_changes (item_id, at, seq, kind, units, free, supply, is_open, order_id)
     values ($1, now(), 1, 'adjusted', 1, 1, 1, true, 'a'), ($1, now(), 2, 'adjusted', 9, 1, 1, true, null)`,
    [ITEM],
  );
  const second = START / 1_000 + 2;
  const refused = { itemId: ITEM, reason: 'sold-out', second, requests: 7 };
  await writeRefusals(archive.database, 'gateway-1', [refused]);
  // Written again after a lost answer, and by another gateway.
  await writeRefusals(archive.database, 'gateway-1', [refused, { ...refused, itemId: '202' }]);
  await writeRefusals(archive.database, 'gateway-2', [{ ...refused, reason: 'purchase-limit' }]);
  expect(await reportSale(archive.database, ITEM)).toEqual({
    item_id: ITEM,
    accepted: { orders: 5, units: 6, first_at: at(0), last_at: at(2) },
    confirmed: {
      orders: 2,
      units: 3,
      buyers: 1,
      revenue: [
        { currency: 'USD', price_minor: 500, units: 1, total_minor: 500 },
        { currency: 'USD', price_minor: 1000, units: 2, total_minor: 2000 },
      ],
      last_at: at(3),
      seconds_to_last_unit: 3,
    },
    refunded: { orders: 1, units_restocked: 1, money: [{ currency: 'USD', total_minor: 800 }] },
    failed: { orders: 1, by_reason: { 'payment-declined': 1 } },
    cancelled: { orders: 1 },
    refused: { requests: 14, by_reason: { 'purchase-limit': 7, 'sold-out': 7 } },
    open: { orders: 1 },
    to_outcome_ms: { p50: 1_000, p90: 2_050, p99: 2_455, max: 2_500 },
    curve: {
      seconds_per_point: 1,
      points: [
        {
          at: at(0),
          accepted_units: 3,
          confirmed_units: 0,
          ended_without_a_sale: 0,
          refused_requests: 0,
        },
        {
          at: at(1),
          accepted_units: 2,
          confirmed_units: 2,
          ended_without_a_sale: 0,
          refused_requests: 0,
        },
        {
          at: at(2),
          accepted_units: 1,
          confirmed_units: 0,
          ended_without_a_sale: 2,
          refused_requests: 14,
        },
        {
          at: at(3),
          accepted_units: 0,
          confirmed_units: 1,
          ended_without_a_sale: 0,
          refused_requests: 0,
        },
      ],
    },
  });
});

test('the second acceptance of one order counts once', async () => {
  await add('first', 0, null, { request_id: 'req', user_id: 'u' });
  await add('second', 1, 2, { request_id: 'req', user_id: 'u' });
  const report = await reportSale(archive.database, ITEM);
  expect(report).toMatchObject({ accepted: { orders: 1 }, open: { orders: 0 } });
});

test('a long sale has wider points', async () => {
  await add('a', 0, 1);
  await add('b', 86_400, 86_401);
  const report = await reportSale(archive.database, ITEM);
  expect(report?.curve.seconds_per_point).toBe(145);
  expect(report?.curve.points).toHaveLength(2);
});

test('an item without orders has none', async () => {
  await add('other', 0, 9, { item_id: '202' });
  expect(await reportSale(archive.database, ITEM)).toBeUndefined();
});

test('nothing but open orders has no times', async () => {
  await add('a', 0, null);
  const report = await reportSale(archive.database, ITEM);
  expect(report).toMatchObject({
    to_outcome_ms: null,
    confirmed: { last_at: null, seconds_to_last_unit: null, revenue: [] },
  });
});
