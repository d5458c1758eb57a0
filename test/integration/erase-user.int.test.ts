import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eraseUser } from '../../engine/archive/erase-user';
import { project, setAside } from '../../engine/archive/projection';
import { createArchiveStore } from '../../engine/archive/store';
import type { ItemId, Order, UserId } from '../../engine/orders/order';
import { archivedUnitsKey, buyersKey, ordersKey } from '../../engine/stock/keys';
import { createLedgerCounts } from '../../engine/stock/ledger-counts';
import { createTestArchive, type TestArchive } from '../support/archive';
import { aLetter, anAcceptance, anEvent, createRecords } from '../support/archived-records';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

const PAGE = readFileSync(join(__dirname, '..', '..', 'docs', 'personal-data.md'), 'utf8');
/** The script that operators are told to run. */
const [, SCRIPT = ''] = /```lua\n([^]*?)```/.exec(PAGE) ?? [];

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

const erase = (itemId: ItemId, userId: string) => {
  const keys = [ordersKey(itemId), buyersKey(itemId), archivedUnitsKey(itemId)];
  return stock.redis.eval(SCRIPT, 3, ...keys, userId, 'sub-erased');
};

async function aQueuedOrder(itemId: ItemId, userId: string): Promise<Order> {
  const attempt = anAttempt(aPurchase({ itemId, userId }));
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  return anOrder(attempt);
}

async function aSoldOrder(itemId: ItemId, userId: string): Promise<Order> {
  const order = await aQueuedOrder(itemId, userId);
  await stock.ledger.reserve(order, 10);
  await stock.ledger.confirm({ ...order, generation: 1, fence: 11, paymentId: 'p' });
  return order;
}

describe('the script of docs/personal-data.md', () => {
  test('leaves nothing of a user in the ledger of an item, and every unit where it is', async () => {
    const itemId = anItem();
    await stock.setFree(itemId, 9);
    const [sold, failed] = [await aSoldOrder(itemId, 'u-7'), await aQueuedOrder(itemId, 'u-7')];
    await stock.ledger.release({ order: failed, fence: 12, reason: 'payment-declined' });
    await aSoldOrder(itemId, 'u-8');
    const before = await stock.countsOf(itemId);
    await stock.redis.hset(archivedUnitsKey(itemId), 'u-7', 3);

    expect(await erase(itemId, 'u-7')).toBe(2);

    const stored = JSON.stringify([
      await stock.redis.hgetall(ordersKey(itemId)),
      await stock.redis.hgetall(buyersKey(itemId)),
    ]);
    for (const trace of ['u-7', sold.fingerprint]) expect(stored).not.toContain(trace);
    expect(await stock.redis.hgetall(buyersKey(itemId))).toEqual({ 'u-8': '1', 'sub-erased': '1' });
    expect(await stock.redis.hgetall(archivedUnitsKey(itemId))).toEqual({ 'sub-erased': '3' });
    expect(await stock.countsOf(itemId)).toEqual(before);
    expect(await createLedgerCounts(stock.redis).compareCounts(itemId)).toEqual([]);
    const found = await stock.ledger.findOrder(sold.requestId);
    expect(found?.entry).toMatchObject({ userId: 'sub-erased', state: 'sold', paymentId: 'p' });
    // The request_id stays taken, also for the same request.
    const [verdict] = await stock.admission.claimAndHold([anAttempt(sold)]);
    expect(verdict).toMatchObject({ hold: { kind: 'mismatch' } });
  });

  test('changes nothing while an order of the user is under way', async () => {
    const itemId = anItem();
    await stock.setFree(itemId, 9);
    await aSoldOrder(itemId, 'u-7');
    const open = await aQueuedOrder(itemId, 'u-7');
    const before = await stock.redis.hgetall(ordersKey(itemId));
    await expect(erase(itemId, 'u-7')).rejects.toThrow(`UNFINISHED ${open.requestId} is queued`);
    expect(await stock.redis.hgetall(ordersKey(itemId))).toEqual(before);
  });
});

describe('eraseUser', () => {
  let archive: TestArchive;
  beforeAll(async () => {
    archive = await createTestArchive();
  });
  afterAll(() => archive.drop());

  beforeEach(() => archive.empty());

  test('leaves nothing of a user in the archive, and every order', async () => {
    const records = createRecords();
    const mine = anAcceptance({ userId: 'u-7', orderId: 'mine' });
    const others = anAcceptance({ userId: 'u-77', orderId: 'others' });
    const archived = [
      records.order(mine),
      records.order(others),
      records.event(anEvent(mine)),
      await records.letter(aLetter(mine)),
      await records.letter(aLetter(others)),
    ];
    const changes = [
      ...archived.map(({ log, record }) => project(log, [record])),
      ...archived.slice(0, 2).map(({ record }) => setAside(record, 'for this test')),
    ];
    const store = createArchiveStore(archive.database);
    for (const [partition, one] of changes.entries()) {
      await store.write({ topic: 'any', partition, from: undefined, to: 1n }, one);
    }
    const before = await archive.rows('order_states');

    expect(await eraseUser(archive.database, mine.userId)).toEqual({
      kind: 'erased',
      orders: 1,
      deadLetters: 1,
      setAside: 1,
    });

    const { rows } = await archive.pool.query<{ text: string }>(
      `select t::text as text from orders t
       union all select encode(value, 'escape') from dead_letters
       union all select encode(value, 'escape') from set_aside`,
    );
    const left = rows.map(({ text }) => text).join('\n');
    expect(left).not.toMatch(/u-7(?!7)/);
    expect(left.match(/u-77/g)).toHaveLength(3);
    const after = before.map((row) =>
      row['user_id'] === 'u-7' ? { ...row, user_id: 'sub-erased' } : row,
    );
    expect(await archive.rows('order_states')).toEqual(after);
    expect(await eraseUser(archive.database, mine.userId)).toMatchObject({
      orders: 0,
      deadLetters: 0,
      setAside: 0,
    });
  });

  test('changes nothing while an order of the user is not over', async () => {
    const records = createRecords();
    const open = anAcceptance({ userId: 'u-7', orderId: 'open', requestId: 'req-open' });
    const over = anAcceptance({ userId: 'u-7', orderId: 'over', requestId: 'req-over' });
    await archive.fill(records.order(open), records.order(over), records.event(anEvent(over)));
    const before = await archive.rows('orders');
    expect(await eraseUser(archive.database, open.userId)).toEqual({
      kind: 'unfinished',
      requestIds: ['req-open'],
    });
    expect(await archive.rows('orders')).toEqual(before);
  });

  test('reads all letters, however many there are', async () => {
    await archive.pool.query(
      `insert into dead_letters (letter_id, reason, error, generation, at, value, partition, record_offset)
       select 'l-' || i, 'sold-out', 'e', 1, now(), convert_to('{"user_id":"u-' || i % 2 || '"}', 'UTF8'), 0, i
       from generate_series(1, 10001) i`,
    );
    expect(await eraseUser(archive.database, 'u-1' as UserId)).toMatchObject({ deadLetters: 5001 });
  });
});
