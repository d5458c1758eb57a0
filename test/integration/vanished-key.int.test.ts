import { setTimeout as sleep } from 'node:timers/promises';
import { SOLD_OUT_MS } from '../../api/buy/sold-out-cache';
import { itemKeys } from '../../engine/stock/keys';
import type { ItemId } from '../../engine/orders/order';
import { buy, reply, type OpenGateway } from '../api/open-gateway';
import { openGatewayOnRedis } from '../support/gateway-on-redis';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import type { RedisStock } from '../support/redis-stock';

/** Somebody or something removes `inventory:<item>` of an item that has orders: DEL, EXPIRE, eviction. */
let stock: RedisStock;
let open: OpenGateway;
let close: () => Promise<void>;
let itemId: ItemId;
beforeAll(async () => {
  ({ stock, open, close } = await openGatewayOnRedis());
});
afterAll(() => close());
beforeEach(async () => {
  itemId = anItem();
  await stock.setFree(itemId, 5);
});

const vanish = () => stock.redis.del(`inventory:${itemId}`);
const fence = () => Date.now();
const buyOne = () =>
  buy(open, { item_id: itemId, request_id: `${itemId}-${Math.random()}`, user_id: 'u9' });
const readItem = async () => reply(await fetch(`${open.url}/items/${itemId}`));

async function queued(name: string) {
  const attempt = anAttempt(aPurchase({ itemId, userId: name }));
  await stock.admission.claimAndHold([attempt]);
  expect(await stock.admission.queue([attempt])).toEqual([true]);
  return anOrder(attempt);
}
async function reserved(name: string) {
  const order = await queued(name);
  expect(await stock.ledger.reserve(order, fence())).toMatchObject({ kind: 'reserved' });
  return { ...order, generation: 1 };
}
async function sold(name: string) {
  const order = await reserved(name);
  const step = { ...order, fence: fence(), paymentId: 'p' };
  expect(await stock.ledger.confirm(step)).toMatchObject({ kind: 'sold' });
  return order;
}
const eventsOf = async (state: string) => {
  const all = await stock.redis.xrange(`{inventory:${itemId}}:events`, '-', '+');
  return all.map(([, fields]) => fields).filter((fields) => fields[1] === state);
};

describe('an item whose stock key vanishes', () => {
  test('is sold out for buyers and not for good, is shown with what was sold, and is reported', async () => {
    await sold('ann');
    await queued('bob');
    await vanish();
    const shown = { free: 0, queued: 1, reserved: 0, sold: 1, supply: 2 };
    expect(await readItem()).toMatchObject({ status: 200, body: shown });

    const answer = await buyOne();
    expect([answer.status, answer.body]).toMatchObject([
      409,
      { type: '/problems/sold-out', final: false },
    ]);
    expect(open.logged).toContainEqual(
      expect.objectContaining({ msg: 'the stock key has vanished', itemId }),
    );
    const metrics = await (await fetch(`${open.adminUrl}/metrics`)).text();
    expect(metrics).toContain('flash_sale_faults_total{what="the stock key has vanished"}');
    expect(await eventsOf('vanished')).toEqual([
      ['state', 'vanished', 'free', '0', 'supply', '2', 'units', '-3'],
    ]);
    expect((await readItem()).body).toMatchObject(shown);
  });

  test('is not called sold out for good although every unit of it is sold', async () => {
    const all = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(sold));
    expect(all).toHaveLength(5);
    await vanish();
    expect((await buyOne()).body).toMatchObject({ type: '/problems/sold-out', final: false });
    expect((await readItem()).body).toMatchObject({ free: 0, sold: 5, supply: 5 });
  });

  test('goes on with its orders: they are reserved, sold and released, and units come back', async () => {
    const [first, second, third] = [
      await reserved('ann'),
      await queued('bob'),
      await queued('eve'),
    ];
    await vanish();
    expect(await stock.ledger.reserve(second, fence())).toMatchObject({ kind: 'reserved' });
    const step = { ...first, fence: fence(), paymentId: 'p' };
    expect(await stock.ledger.confirm(step)).toMatchObject({ kind: 'sold' });
    expect(await stock.ledger.cancel(third)).toMatchObject({ kind: 'cancelled' });
    const counts = { free: 1, held: 0, queued: 0, reserved: 1, sold: 1, supply: 3 };
    expect(await stock.countsOf(itemId)).toEqual(counts);
    expect((await buyOne()).status).toBe(202);
  });

  test('sells again after a SET, and knows what it has sold', async () => {
    await sold('ann');
    await vanish();
    expect((await buyOne()).status).toBe(409);
    await stock.redis.set(`inventory:${itemId}`, 4);
    // Longer than the gateway remembers that the item was sold out.
    await sleep(SOLD_OUT_MS + 50);
    expect((await buyOne()).status).toBe(202);
    expect(await stock.countsOf(itemId)).toMatchObject({ free: 3, queued: 1, sold: 1, supply: 5 });
  });

  test('is restocked and its sale changed as a known item', async () => {
    await sold('ann');
    await vanish();
    const { operations } = stock;
    expect(await operations.changeSale(itemId, { priceMinor: 5 }, { by: 'ann' })).toMatchObject({
      kind: 'changed',
    });
    const restock = { itemId, operationId: 'op', units: { add: 2 }, by: 'ann' };
    expect(await operations.restock(restock)).toMatchObject({
      before: 0,
      after: 2,
      supply: 3,
      isNewItem: false,
    });
  });

  test('whose ledger is gone as well is left to the registry', async () => {
    await sold('ann');
    await stock.redis.del(...itemKeys(itemId));
    const [verdict] = await stock.admission.claimAndHold([anAttempt(aPurchase({ itemId }))]);
    expect(verdict).toMatchObject({ hold: { kind: 'unopened', known: false } });
  });
});

describe('an item that has lost all its keys', () => {
  test('has orders that are neither shown as unknown nor cancelled', async () => {
    const { requestId } = await queued('ann');
    await stock.redis.del(...itemKeys(itemId));
    const order = `${open.url}/orders/${requestId}`;
    expect((await fetch(order)).status).toBe(503);
    expect((await fetch(`${order}?user_id=ann`, { method: 'DELETE' })).status).toBe(503);
    await stock.open(itemId);
    expect((await fetch(order)).status).toBe(404);
  });
});
