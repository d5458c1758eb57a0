import { Redis } from 'ioredis';
import { pino } from 'pino';
import { register } from 'prom-client';
import { startArchivingStock } from '../../archiver/archive-stock';
import { createMetrics } from '../../archiver/metrics';
import { openArchive } from '../../engine/archive/database';
import { newestStock, writeStockChanges } from '../../engine/archive/stock-changes';
import type { ItemId } from '../../engine/orders/order';
import { readAdjustments, type StoredAdjustment } from '../../engine/stock/adjustments';
import { adjustmentsKey, countsKey, saleKey } from '../../engine/stock/keys';
import { loadDatabaseAccess } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { closeDatabasePool, createDatabasePool } from '../../platform/postgres';
import { startTcpProxy } from '../../stack/tcp-proxy';
import { redisAddr } from '../support/addresses';
import { createTestArchive, type TestArchive } from '../support/archive';
import { eventually } from '../support/eventually';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { redisStockOn, type RedisStock } from '../support/redis-stock';

const RESTOCK = { by: 'ann' };

let archive: TestArchive;
let stock: RedisStock;
let itemId: ItemId;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  archive = await createTestArchive();
  // A database of its own: the archiver takes the changes of every item.
  stock = redisStockOn(new Redis(redisAddr(), { db: 9 }));
});
beforeEach(async () => {
  await stock.redis.flushdb();
  await archive.empty();
  await archive.pool.query('truncate stock_changes');
  itemId = anItem();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(async () => {
  await stock.redis.quit();
  await archive.drop();
});

function start(redis = stock.redis, database = archive.database) {
  register.clear();
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ base: null }, { write: (line) => lines.push(JSON.parse(line) as never) });
  const archiver = startArchivingStock({
    redis,
    archive: database,
    metrics: createMetrics(),
    logger,
  });
  cleanups.push(() => archiver.stop());
  return lines;
}
const waiting = async () => (await entriesOf(itemId)).length;
const entriesOf = async (item: ItemId): Promise<readonly StoredAdjustment[]> => {
  const found = (await readAdjustments(stock.redis, [item], 1_000)).get(item);
  if (found === undefined || found instanceof Error) throw new Error('no stream', { cause: found });
  return found;
};
const isEmptied = () => eventually('the stream is empty', async () => (await waiting()) === 0);
const add = (units: number, operationId = `add-${units}`) =>
  stock.operations.restock({ itemId, operationId, units: { add: units }, ...RESTOCK });
const hold = async (amount = 1) => {
  const [result] = await stock.admission.claimAndHold([anAttempt(aPurchase({ itemId, amount }))]);
  return result;
};
const rowsOf = async (item = itemId) =>
  (
    await archive.pool.query<Record<string, unknown>>(
      'select kind, units, free, supply, is_open, sale, by, why, operation from stock_changes where item_id = $1 order by at, seq',
      [item],
    )
  ).rows;
const NOBODY = { by: null, why: null, operation: null };

test('what changes an item itself is archived with what it left, and then leaves Redis', async () => {
  await add(5, 'first');
  await stock.open(itemId);
  await hold(2);
  await stock.redis.set(`inventory:${itemId}`, 10);
  await hold(1);
  await stock.operations.changeSale(itemId, { priceMinor: 250, currency: 'EUR' }, { by: 'bob' });
  await stock.redis.del(`inventory:${itemId}`);
  await hold(1);
  await stock.maintenance.mendCounts(itemId, { by: 'eve', why: 'a test' });
  start();
  await isEmptied();
  const sale = { price: '250', currency: 'EUR' };
  expect(await rowsOf()).toEqual([
    {
      kind: 'adjusted',
      units: '5',
      free: '5',
      supply: '5',
      is_open: false,
      sale: {},
      by: 'ann',
      why: null,
      operation: 'first',
    },
    { kind: 'opened', units: null, free: '5', supply: '5', is_open: true, sale: {}, ...NOBODY },
    { kind: 'adjusted', units: '7', free: '10', supply: '12', is_open: true, sale: {}, ...NOBODY },
    {
      kind: 'sale',
      units: null,
      free: '9',
      supply: '12',
      is_open: true,
      sale,
      ...NOBODY,
      by: 'bob',
    },
    { kind: 'vanished', units: '-9', free: '0', supply: '3', is_open: true, sale, ...NOBODY },
  ]);
});

test('a rebuild, an opening as it stands and a correction of counts are archived with who and why', async () => {
  const who = { by: 'eve', why: 'a test' };
  await stock.setFree(itemId, 5);
  await hold(2);
  await stock.redis.hset(countsKey(itemId), 'held', 7);
  await stock.maintenance.mendCounts(itemId, who);
  await stock.redis.hdel(countsKey(itemId), 'opened');
  await stock.maintenance.accept(itemId, 'token', who);
  await stock.redis.del(countsKey(itemId));
  const rebuildId = await stock.maintenance.beginRebuild(itemId);
  const ledger = { rebuildId, token: 'token', given: 'supply', units: 9 } as const;
  await stock.maintenance.finishRebuild(itemId, { ...ledger, ...who });
  start();
  await isEmptied();
  const told = { units: null, is_open: true, sale: {}, ...who, operation: null };
  expect((await rowsOf()).slice(-3)).toEqual([
    { kind: 'recounted', free: '3', supply: '5', ...told },
    { kind: 'accepted', free: '3', supply: '5', ...told },
    { kind: 'rebuilt', free: '9', supply: '9', ...told },
  ]);
});

test('a purchase that changes nothing outside of orders records nothing', async () => {
  await stock.setFree(itemId, 5);
  const before = await waiting();
  await hold();
  expect(await waiting()).toBe(before);
});

test('an archiver that was killed before it emptied the stream, and one beside it, archive nothing twice', async () => {
  await stock.setFree(itemId, 5);
  for (let i = 1; i <= 250; i++) await add(1, `op-${i}`);
  await writeStockChanges(archive.database, itemId, (await entriesOf(itemId)).slice(0, 120));
  start();
  start();
  await isEmptied();
  expect(await rowsOf()).toHaveLength(252);
  expect((await rowsOf()).at(-1)).toMatchObject({ supply: '255', operation: 'op-250' });
});

test('while PostgreSQL is away Redis keeps the changes, and they are archived when it is back', async () => {
  const url = new URL(archive.url);
  const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const logger = createLogger('test', 'silent');
  const pool = createDatabasePool(loadDatabaseAccess({ DATABASE_URL: url.href }), {
    name: 'test',
    logger,
  });
  cleanups.push(
    () => proxy.close(),
    () => closeDatabasePool(pool),
  );
  await stock.setFree(itemId, 5);
  const lines = start(stock.redis, openArchive(pool));
  await isEmptied();
  proxy.leave();
  await add(2);
  await eventually('it has tried', () => lines.some(({ level }) => level === 40));
  expect([await waiting(), (await rowsOf()).length]).toEqual([1, 2]);
  proxy.open();
  await isEmptied();
  expect(await rowsOf()).toHaveLength(3);
});

test('while Redis is away nothing fails, and it goes on when it is back', async () => {
  const target = new URL(redisAddr());
  const proxy = await startTcpProxy({ host: target.hostname, port: Number(target.port) });
  const redis = new Redis({ host: '127.0.0.1', port: proxy.port, db: 9, maxRetriesPerRequest: 1 });
  redis.on('error', () => undefined);
  cleanups.push(
    () => proxy.close(),
    () => redis.quit(),
  );
  proxy.leave();
  const lines = start(redis);
  await eventually('it has tried', () => lines.some(({ level }) => level === 40));
  await stock.setFree(itemId, 5);
  proxy.open();
  await isEmptied();
  expect(await rowsOf()).toHaveLength(2);
});

describe('an entry that no script has written', () => {
  test.each([
    [
      'of no kind',
      ['state', 'nonsense', 'free', '1', 'supply', '1', 'open', '1'],
      'state nonsense is none',
    ],
    [
      'without a number',
      ['state', 'adjusted', 'free', 'x', 'supply', '1', 'open', '1'],
      'free x is no whole number',
    ],
    [
      'with a character that PostgreSQL has not',
      ['state', 'adjusted', 'free', '1', 'supply', '1', 'open', '1', 'by', 'a\0b'],
      'invalid byte sequence',
    ],
  ])('%s is set aside, and the others are archived', async (_what, fields, problem) => {
    await stock.setFree(itemId, 5);
    await stock.redis.xadd(adjustmentsKey(itemId), '*', ...fields);
    await add(2);
    const lines = start();
    await isEmptied();
    expect((await rowsOf()).map(({ kind }) => kind)).toEqual(['adjusted', 'opened', 'adjusted']);
    const [row, ...others] = await archive.rows('set_aside');
    expect(others).toEqual([]);
    expect(row).toMatchObject({ topic: adjustmentsKey(itemId) });
    expect(String(row?.['problem'])).toContain(problem);
    expect(JSON.parse(String(row?.['value']))).toEqual(fields);
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 50, stream: adjustmentsKey(itemId) }),
    );
  });

  test('keeps no other item waiting, even where it is not a stream', async () => {
    const ill = anItem();
    await stock.redis.set(adjustmentsKey(ill), 'by hand');
    await stock.setFree(itemId, 5);
    const lines = start();
    await isEmptied();
    expect(await rowsOf()).toHaveLength(2);
    await eventually('it is told of', () => lines.some(({ level }) => level === 40));
  });
});

test('an item that is new is found while the archiver runs', async () => {
  await stock.setFree(itemId, 5);
  start();
  await isEmptied();
  itemId = anItem();
  await stock.setFree(itemId, 5);
  await eventually('it is archived', async () => (await rowsOf()).length === 2);
});

describe('an item whose newest state the archive does not have', () => {
  const newest = async () => (await newestStock(archive.database, [itemId])).get(itemId);

  test('is noted: it was opened before changes were recorded, or the archive is an older copy', async () => {
    await stock.setFree(itemId, 5);
    await stock.setSale(itemId, { unitsPerUser: 2 });
    await hold();
    await stock.redis.del(adjustmentsKey(itemId));
    start();
    await eventually('it is noted', async () => (await newest()) !== undefined);
    expect(await newest()).toMatchObject({ supply: 5, sale: { units_per_user: '2' } });
    expect(await rowsOf()).toMatchObject([
      { kind: 'noted', free: '4', supply: '5', is_open: true },
    ]);
  });

  test('is noted when its sale was written by hand', async () => {
    await stock.setFree(itemId, 5);
    start();
    await isEmptied();
    await cleanups.pop()?.();
    await stock.redis.hset(saleKey(itemId), 'price', '700');
    start();
    await eventually('it is noted', async () => (await newest())?.sale?.['price'] === '700');
  });

  test('is the only one that is noted', async () => {
    await stock.setFree(itemId, 5);
    start();
    await isEmptied();
    await cleanups.pop()?.();
    start();
    const other = anItem();
    await stock.setFree(other, 3);
    await cleanups.pop()?.();
    start();
    await eventually('the other one is archived', async () => (await rowsOf(other)).length === 2);
    expect(await rowsOf()).toHaveLength(2);
  });
});

test('of an item that is lost, what is recorded meanwhile does not count as its stock', async () => {
  await stock.setFree(itemId, 5);
  await hold();
  await stock.redis.del(countsKey(itemId), `inventory:${itemId}`);
  await add(3, 'into the dark');
  start();
  await isEmptied();
  expect((await rowsOf()).at(-1)).toMatchObject({ supply: '3', is_open: false });
  expect((await newestStock(archive.database, [itemId])).get(itemId)).toMatchObject({ supply: 5 });
});
