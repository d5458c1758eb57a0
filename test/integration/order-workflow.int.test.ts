import { paymentKey, type Order } from '../../engine/orders/order';
import { encodeOrder } from '../../engine/orders/order-record';
import { noAnswer } from '../support/held-up';
import { anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';
import { aSignal, failureOf, useSaga } from '../support/saga';
import type { Step } from '../support/step-hooks';

const saga = useSaga();
const { money, aQueuedOrder, start, reset, lettersOf, countsOf: counts } = saga;

describe('an order whose payment is taken', () => {
  test('is confirmed, with one charge of price times amount', async () => {
    const order = await aQueuedOrder({ supply: 3, amount: 2 });
    const key = paymentKey(order.requestId, order.orderId, 1);
    const result = await (await start(order)).result();
    expect(result).toEqual({
      outcome: 'confirmed',
      generation: 1,
      paymentId: `pay-${key}`,
    });
    expect(await counts(order)).toMatchObject({ free: 1, reserved: 0, sold: 2, supply: 3 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    expect(money.amountOf(key)).toBe(2000);
    expect(lettersOf(order)).toEqual([]);
  });

  test('is charged once when the answer of the charge is lost', async () => {
    const order = await aQueuedOrder();
    money.faultNext(() => {
      throw new Error('the line went dead after the charge');
    });
    await (await start(order)).result();
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });

  test('after it was confirmed can be reset, which charges nothing and confirms it again', async () => {
    const order = await aQueuedOrder();
    await (await start(order)).result();
    const again = await (await reset(order)).result();
    expect(again).toMatchObject({ outcome: 'confirmed', generation: 1 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    expect(await counts(order)).toMatchObject({ free: 0, sold: 1, supply: 1 });
  });
});

describe('an order whose payment is declined', () => {
  beforeAll(() => {
    money.declineIf((key) => key.startsWith('poor-') && key.endsWith(':1'));
  });
  const aPoorOrder = async () => {
    const purchase = aPurchase({ requestId: `poor-${anItem()}`, itemId: anItem() });
    const order = anOrder(purchase);
    await saga.setFree(order, 1);
    return order;
  };

  test('fails with its reason, gives its units back and leaves one dead letter', async () => {
    const order = await aPoorOrder();
    const handle = await start(order);
    expect(await failureOf(handle)).toBe('payment-declined');
    expect(await counts(order)).toMatchObject({ free: 1, reserved: 0, sold: 0, supply: 1 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'declined' });
    expect(lettersOf(order)).toMatchObject([
      { reason: 'payment-declined', generation: 1, runId: (await handle.describe()).runId },
    ]);
    expect(lettersOf(order)[0]?.value.toString()).toBe(encodeOrder(order).toString());
  });

  test('tries again when it is reset, as a new generation with its own payment, and can succeed', async () => {
    const order = await aPoorOrder();
    await failureOf(await start(order));
    const result = await (await reset(order)).result();
    expect(result).toMatchObject({ outcome: 'confirmed', generation: 2 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'declined', '2': 'captured' });
    expect(await counts(order)).toMatchObject({ free: 0, sold: 1, supply: 1 });
    expect(lettersOf(order)).toHaveLength(1);
  });
});

describe('an order that cannot be sold', () => {
  test('fails as sold-out when there are no units for it, without a charge', async () => {
    const order = anOrder(aPurchase({ itemId: anItem(), amount: 2 }));
    await saga.setFree(order, 1);
    expect(await failureOf(await start(order))).toBe('sold-out');
    expect(money.moneyOf(order.requestId)).toEqual({});
    expect(lettersOf(order)).toMatchObject([{ reason: 'sold-out' }]);
    expect(await counts(order)).toMatchObject({ free: 1, supply: 1 });
  });

  test('fails as payment-unknown when the provider never answers, and the money goes back', async () => {
    const order = await aQueuedOrder();
    money.faultNext(noAnswer, noAnswer);
    expect(await failureOf(await start(order))).toBe('payment-unknown');
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(await counts(order)).toMatchObject({ free: 1, sold: 0, supply: 1 });
  });

  test('fails as sale-lost when its reservation is gone after the charge, and is refunded', async () => {
    const order = await aQueuedOrder();
    money.faultNext(async () => {
      await saga.ledger.release({ order, fence: Date.now() + 60_000, reason: 'sale-lost' });
    });
    expect(await failureOf(await start(order))).toBe('sale-lost');
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(await counts(order)).toMatchObject({ free: 1, sold: 0, supply: 1 });
  });

  test('is refunded in the end when the refund fails for a while', async () => {
    const order = await aQueuedOrder();
    const away = () => {
      throw new Error('the provider is away');
    };
    money.faultNext(noAnswer, noAnswer, away, away);
    expect(await failureOf(await start(order))).toBe('payment-unknown');
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect((await saga.entryOf(order))?.unresolvedCharges).toEqual([]);
  });

  test('under the id of another request fails and changes nothing of that request', async () => {
    const order = await aQueuedOrder({ supply: 5 });
    const other = anOrder({ ...order, amount: 2 });
    expect(await failureOf(await start(other))).toBe('request-id-reused');
    expect(await counts(order)).toMatchObject({ free: 4, queued: 1, supply: 5 });
    expect(money.moneyOf(order.requestId)).toEqual({});
  });
});

describe('an order whose stock key was overwritten with a word', () => {
  /** Spoils the key before the first try of a step, and mends it before the second one. */
  const spoilDuring = (order: Order, step: Step) => {
    const { redis } = openStock;
    const key = `inventory:${order.itemId}`;
    saga.onStep(order, 'before', step, async () => {
      const free = await redis.getset(key, 'plenty');
      saga.onStep(order, 'before', step, async () => {
        seen.push((await saga.entryOf(order))?.state);
        await redis.set(key, free ?? '0');
      });
    });
  };
  const seen: unknown[] = [];
  let openStock: RedisStock;
  beforeAll(() => {
    openStock = openRedisStock();
  });
  afterAll(() => openStock.redis.quit());

  test.each([
    ['reserveStock', 'queued'],
    ['confirmSale', 'reserved'],
  ] as const)('waits in %s as it stands, and is sold once it is mended', async (step, state) => {
    const order = await aQueuedOrder({ supply: 3 });
    spoilDuring(order, step);
    await expect((await start(order)).result()).resolves.toMatchObject({ outcome: 'confirmed' });
    expect(seen.splice(0)).toEqual([state]);
    expect(await counts(order)).toMatchObject({ free: 2, sold: 1, supply: 3 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });
});

describe('an order that is cancelled', () => {
  test('during its payment gives everything back and ends as cancelled, without a dead letter', async () => {
    const order = await aQueuedOrder();
    const [charging, answered] = [aSignal(), aSignal()];
    money.faultNext(noAnswer, () => {
      charging.give();
      return answered.given;
    });
    const handle = await start(order);
    await charging.given;
    await handle.cancel();
    expect(await failureOf(handle)).toBe('CancelledFailure');
    // The late answer of the charge changes nothing: its key was refunded.
    answered.give();
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(await counts(order)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
    expect(await saga.entryOf(order)).toMatchObject({
      state: 'released',
      reason: 'cancelled',
    });
    expect(lettersOf(order)).toEqual([]);
  });
});
