import {
  createArchive,
  cursorText,
  parseCursor,
  type OrderCursor,
  type OrderFilters,
} from '../../engine/archive/archive';
import { openArchive } from '../../engine/archive/database';
import { project } from '../../engine/archive/projection';
import { createArchiveStore } from '../../engine/archive/store';
import { loadDatabaseAccess } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { closeDatabasePool, createDatabasePool } from '../../platform/postgres';
import type { RequestId, UserId } from '../../engine/orders/order';
import { createTestArchive, type TestArchive } from '../support/archive';
import { aLetter, anAcceptance, anEvent, createRecords } from '../support/archived-records';

let archive: TestArchive;
beforeAll(async () => {
  archive = await createTestArchive();
});
beforeEach(() => archive.empty());
afterAll(() => archive.drop());

const reader = () => createArchive(archive.database);
const AT = 1_700_000_000_000;
const ids = (orders: readonly { readonly orderId: string }[]) =>
  orders.map(({ orderId }) => orderId);

/** The order `order-<n>`, accepted n seconds after the first. */
const order = (n: number, fields: Partial<Parameters<typeof anAcceptance>[0]> = {}) =>
  anAcceptance({
    requestId: `req-${n}`,
    orderId: `order-${n}`,
    userId: 'u1',
    acceptedAt: AT + n * 1_000,
    ...fields,
  });

describe('the newest order of a request_id', () => {
  const find = (requestId = 'req-1') => reader().newestOrder(requestId as RequestId);

  test('is what its events say', async () => {
    const records = createRecords();
    await archive.fill(records.order(order(1)));
    expect(await find()).toEqual({
      orderId: 'order-1',
      requestId: 'req-1',
      itemId: '101',
      userId: 'u1',
      amount: 1,
      priceMinor: 1000,
      currency: 'USD',
      acceptedAt: AT + 1_000,
      status: 'queued',
      reason: undefined,
      paymentId: undefined,
      generation: 0,
      finishedAt: undefined,
      refundedMinor: 0,
      restocked: 0,
    });
    await archive.fill(records.event(anEvent(order(1), { paymentId: 'pay-1', at: AT + 3_000 })));
    expect(await find()).toMatchObject({
      status: 'confirmed',
      paymentId: 'pay-1',
      generation: 1,
      finishedAt: AT + 3_000,
    });
    expect(await find('req-2')).toBeUndefined();
  });

  test('is the one that was accepted last', async () => {
    const records = createRecords();
    const later = order(2, { requestId: 'req-1', amount: 2 });
    await archive.fill(records.order(later), records.order(order(1)));
    expect(await find()).toMatchObject({ orderId: 'order-2' });
  });

  test('is the one that other acceptances repeat', async () => {
    const records = createRecords();
    const again = order(2, { requestId: 'req-1' });
    const late = anEvent(order(1), { at: again.acceptedAt + 1 });
    await archive.fill(records.order(again), records.event(late));
    expect(await find()).toMatchObject({ orderId: 'order-1', status: 'confirmed' });
  });

  test('is not one that was refused because the id is taken, unless there is no other', async () => {
    const records = createRecords();
    const other = order(2, { requestId: 'req-1', amount: 2 });
    const letter = aLetter(other, { reason: 'request-id-reused', generation: 0 });
    await archive.fill(records.order(other), await records.letter(letter));
    expect(await find()).toMatchObject({ orderId: 'order-2', reason: 'request-id-reused' });
    await archive.fill(records.order(order(1)));
    expect(await find()).toMatchObject({ orderId: 'order-1', status: 'queued' });
  });
});

describe('the orders of a user', () => {
  const list = (options: { itemId?: string; limit?: number; cursor?: OrderCursor } = {}) =>
    reader().ordersOfUser('u1' as UserId, { limit: 10, ...options });

  test('are those of nobody else, newest first, each once', async () => {
    const records = createRecords();
    await archive.fill(
      records.order(order(1)),
      records.order(order(2, { userId: 'u2' })),
      records.order(order(3, { itemId: '102' })),
      records.order(order(4, { requestId: 'req-3', itemId: '102' })),
      records.order(order(5)),
    );
    expect(ids(await list())).toEqual(['order-5', 'order-4', 'order-1']);
    expect(ids(await list({ itemId: '102' }))).toEqual(['order-4']);
  });

  test('are read page by page, whatever is archived meanwhile', async () => {
    const records = createRecords();
    // All of one millisecond: the order id decides.
    const all = ['a', 'b', 'c', 'd', 'e'].map((orderId, n) =>
      order(0, { orderId, requestId: `req-${n}` }),
    );
    await archive.fill(...all.map((one) => records.order(one)));
    const first = await list({ limit: 2 });
    expect(ids(first)).toEqual(['e', 'd']);
    await archive.fill(records.order(order(9)));
    const second = await list({ limit: 2, ...cursorOf(first) });
    expect(ids(second)).toEqual(['c', 'b']);
    const third = await list({ limit: 2, ...cursorOf(second) });
    expect(ids(third)).toEqual(['a']);
  });

  const cursorOf = (page: readonly OrderCursor[]) => {
    const cursor = page.at(-1);
    return cursor ? { cursor } : {};
  };
});

describe('a search', () => {
  const search = async (filters: OrderFilters) =>
    ids(await reader().search({ limit: 10, ...filters }));

  beforeEach(async () => {
    const records = createRecords();
    const failed = order(3, { itemId: '102' });
    const lost = order(4);
    await archive.fill(
      records.order(order(1)),
      records.event(anEvent(order(2, { userId: 'u2' }), { paymentId: 'pay-2' })),
      records.event(anEvent(failed, { status: 'failed', reason: 'payment-declined' })),
      records.order(lost),
      await records.letter(aLetter(lost, { reason: 'invalid-record' })),
      records.order(order(5, { requestId: 'req-1' })),
    );
  });

  test.each<[OrderFilters, number[]]>([
    [{}, [5, 4, 3, 2, 1]],
    [{ requestId: 'req-1' }, [5, 1]],
    [{ userId: 'u2' }, [2]],
    [{ itemId: '102' }, [3]],
    [{ paymentId: 'pay-2' }, [2]],
    [{ status: 'queued' }, [5]],
    [{ status: 'repeated' }, [1]],
    [{ status: 'confirmed' }, [2]],
    [{ status: 'failed' }, [4, 3]],
    [{ status: 'cancelled' }, []],
    [{ reason: 'payment-declined' }, [3]],
    [{ reason: 'invalid-record' }, [4]],
    [{ since: AT + 2_000, until: AT + 4_000 }, [3, 2]],
    [{ userId: 'u1', status: 'failed', since: AT + 4_000 }, [4]],
    [{ userId: "u1' or true --" }, []],
  ])('%j', async (filters, expected) => {
    expect(await search(filters)).toEqual(expected.map((n) => `order-${n}`));
  });

  test('has pages of a bounded length', async () => {
    expect(ids(await reader().search({ limit: 2 }))).toEqual(['order-5', 'order-4']);
    const cursor = { acceptedAt: AT + 4_000, orderId: 'order-4' };
    expect(ids(await reader().search({ limit: 1, cursor }))).toEqual(['order-3']);
    expect(parseCursor(cursorText(cursor))).toEqual(cursor);
    expect(['', '4', '4.', 'x.y', '4.a b', '4.\0'].map(parseCursor)).toEqual(
      Array(6).fill(undefined),
    );
    await expect(reader().search({ limit: 1_001 })).rejects.toThrow('a page of 1001 orders');
  });
});

test('the events of an order are in their order', async () => {
  const records = createRecords();
  const ended = { status: 'failed', reason: 'payment-declined' } as const;
  const failed = anEvent(order(1), { ...ended, revision: 4, at: AT + 5_000 });
  const sold = anEvent(order(1), { revision: 12, at: AT + 9_000 });
  await archive.fill(records.event(sold), records.event(failed), records.event(anEvent(order(2))));
  expect(await reader().eventsOf('order-1')).toEqual([
    { at: AT + 5_000, status: 'failed' },
    { at: AT + 9_000, status: 'confirmed' },
  ]);
  expect(await reader().eventsOf('order-9')).toEqual([]);
});

test('the positions are those of one topic', async () => {
  const { write } = createArchiveStore(archive.database);
  const nothing = project('orders', []);
  await write({ topic: 'orders', partition: 4, from: undefined, to: 7n }, nothing);
  await write({ topic: 'other', partition: 5, from: undefined, to: 8n }, nothing);
  expect(await reader().positions('orders')).toEqual(new Map([[4, 7n]]));
});

test('a query that takes too long fails, and the next one is answered', async () => {
  const access = loadDatabaseAccess({ DATABASE_URL: archive.url });
  const logger = createLogger('test', 'silent');
  const pool = createDatabasePool(access, { name: 'test', logger, statementMsMax: 200 });
  const lock = await archive.pool.connect();
  try {
    await lock.query('begin; lock table orders in access exclusive mode');
    const { newestOrder } = createArchive(openArchive(pool));
    // The server has ended it, so that it costs nothing from then on.
    await expect(newestOrder('req-1' as RequestId)).rejects.toMatchObject({ code: '57014' });
    await lock.query('rollback');
    expect(await newestOrder('req-1' as RequestId)).toBeUndefined();
  } finally {
    lock.release();
    await closeDatabasePool(pool);
  }
});
