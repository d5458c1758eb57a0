import { randomUUID } from 'node:crypto';
import type { ItemId } from '../../engine/orders/order';
import { countsKey, ordersKey } from '../../engine/stock/keys';
import { createLedgerCounts } from '../../engine/stock/ledger-counts';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

const WHO = { by: 'ann', why: 'a test' };
const buyersKey = (itemId: ItemId) => `{inventory:${itemId}}:buyers`;

/** An item with so many queued orders of one unit, each of a user of its own. */
async function anItemWith(orders: number): Promise<ItemId> {
  const itemId = anItem();
  await stock.setFree(itemId, orders + 5);
  const attempts = Array.from({ length: orders }, (_, i) =>
    anAttempt(aPurchase({ itemId, userId: `u${String(i)}` })),
  );
  for (let i = 0; i < orders; i += 500) {
    const some = attempts.slice(i, i + 500);
    await stock.admission.claimAndHold(some);
    await stock.admission.queue(some.slice(10));
  }
  return itemId;
}

describe('the counts of an item', () => {
  test('are compared page by page, and only what differs is named and mended', async () => {
    const itemId = await anItemWith(2_000);
    const counts = createLedgerCounts(stock.redis);
    expect(await counts.compareCounts(itemId)).toEqual([]);
    await stock.redis.hset(countsKey(itemId), 'queued', 7);
    await stock.redis.hset(buyersKey(itemId), 'u77', 3, 'ghost', 1);
    await stock.redis.zadd(`{inventory:${itemId}}:leases`, 5, 'nobody');
    const fields = async () => (await counts.compareCounts(itemId))?.map(({ field }) => field);
    const different = ['buyer ghost', 'buyer u77', 'lease nobody', 'queued'];
    expect((await fields())?.sort()).toEqual(different);
    await counts.mendCounts(itemId, WHO);
    expect(await fields()).toEqual([]);
    expect(await stock.countsOf(itemId)).toMatchObject({ free: 5, queued: 1_960, held: 40 });
  });

  test('of an item that changes all the time are not compared', async () => {
    const itemId = await anItemWith(20);
    const sale = { isBusy: true };
    const busy = (async () => {
      const other = openRedisStock();
      while (sale.isBusy) {
        const operationId = randomUUID();
        await other.operations.restock({ itemId, operationId, units: { add: 1 }, by: 'ann' });
      }
      await other.redis.quit();
    })();
    const reader = stock.redis.duplicate();
    const slow = new Proxy(reader, {
      get: (target, name) => {
        if (name !== 'hlen') return Reflect.get(target, name) as unknown;
        return async (key: string) => {
          await new Promise((resolve) => setTimeout(resolve, 50));
          return target.hlen(key);
        };
      },
    });
    expect(await createLedgerCounts(slow).compareCounts(itemId)).toBeUndefined();
    await expect(createLedgerCounts(slow).mendCounts(itemId, WHO)).rejects.toThrow('changed while');
    sale.isBusy = false;
    await busy;
    await reader.quit();
    expect(await createLedgerCounts(stock.redis).compareCounts(itemId)).toEqual([]);
  });

  test('are not compared with counts that were read after a change', async () => {
    const itemId = await anItemWith(20);
    const reader = stock.redis.duplicate();
    const changing = new Proxy(reader, {
      get: (target, name) => {
        if (name !== 'hmget') return Reflect.get(target, name) as unknown;
        return async (...args: Parameters<typeof reader.hmget>) => {
          await stock.admission.claimAndHold([anAttempt(aPurchase({ itemId }))]);
          return target.hmget(...args);
        };
      },
    });
    expect(await createLedgerCounts(changing).compareCounts(itemId)).toBeUndefined();
    await reader.quit();
  });

  test('are not mended from a comparison that is out of date', async () => {
    const itemId = await anItemWith(20);
    await stock.redis.hset(countsKey(itemId), 'queued', 7);
    const keys = [
      `inventory:${itemId}`,
      ...['orders', 'counts', 'buyers', 'leases', 'sale', 'events'].map(
        (name) => `{inventory:${itemId}}:${name}`,
      ),
      ...['orders', 'counts', 'buyers'].map((name) => `{inventory:${itemId}}:rebuild:${name}`),
    ];
    const late = await stock.redis.ledgerRecount(
      ...keys,
      '1-1',
      'mend',
      '',
      'ann',
      'why',
      'queued',
      10,
    );
    expect(late).toBe(0);
    expect(await stock.redis.hget(countsKey(itemId), 'queued')).toBe('7');
    expect(await stock.redis.hlen(ordersKey(itemId))).toBe(20);
  });
});
