import { createOrderActivities } from '../../activities/order-activities';
import { paymentKey, type Order } from '../../engine/orders/order';
import { isChargedInDoubt, missesTheChargeAtOnce, noAnswer } from '../support/held-up';
import { aSignal, failureOf, useSaga } from '../support/saga';

const saga = useSaga();
const { money, aQueuedOrder, start, reset } = saga;

const moneyOf = (order: Order) => money.moneyOf(order.requestId);

describe('the money of an order', () => {
  test('is kept when another run has sold the order while this run compensates', async () => {
    const order = await aQueuedOrder();
    const soldByAnotherRun = async () => {
      await saga.ledger.confirm({
        ...order,
        generation: 1,
        fence: Date.now() + 60_000,
        paymentId: 'pay-of-another-run',
      });
      noAnswer();
    };
    saga.onStep(order, 'after', 'chargePayment', noAnswer, soldByAnotherRun);
    await expect((await start(order)).result()).resolves.toMatchObject({ outcome: 'confirmed' });
    expect(moneyOf(order)).toEqual({ '1': 'captured' });
    expect(await saga.countsOf(order)).toMatchObject({ free: 0, sold: 1 });
  });

  test('is taken once when the order is reset after the charge and before its answer', async () => {
    const order = await aQueuedOrder();
    const [charged, goOn] = [aSignal(), aSignal()];
    isChargedInDoubt(saga, order);
    saga.onStep(order, 'after', 'chargePayment', () => {
      charged.give();
      return goOn.given;
    });
    await start(order);
    await charged.given;
    const again = await reset(order);
    await expect(again.result()).resolves.toMatchObject({ outcome: 'confirmed', generation: 1 });
    goOn.give();
    expect(Object.values(moneyOf(order))).toEqual(['captured']);
  });

  test('of an earlier generation goes back before a later one is charged, even when its run was reset', async () => {
    const order = await aQueuedOrder();
    const [refunding, goOn] = [aSignal(), aSignal()];
    money.faultNext(noAnswer, noAnswer, async () => {
      refunding.give();
      await goOn.given;
      throw new Error('the provider is away');
    });
    await start(order);
    await refunding.given;
    expect((await saga.entryOf(order))?.unresolvedCharges).toEqual([1]);
    const again = await reset(order);
    await expect(again.result()).resolves.toMatchObject({ outcome: 'confirmed', generation: 2 });
    goOn.give();
    expect(moneyOf(order)).toEqual({ '1': 'refunded', '2': 'captured' });
    expect(await saga.entryOf(order)).toMatchObject({ state: 'sold', unresolvedCharges: [] });
  });

  test('is kept when a refund of the sold generation is asked for, however late', async () => {
    const order = await aQueuedOrder();
    await (await start(order)).result();
    const activities = createOrderActivities(saga.clients);
    const late = activities.refundPayment({ ...order, generation: 1 });
    await expect(late).resolves.toBe('kept');
    expect(moneyOf(order)).toEqual({ '1': 'captured' });
  });

  test('is never taken under a key that was blocked before its charge arrived', async () => {
    const order = await aQueuedOrder();
    const [charging, goOn] = [aSignal(), aSignal()];
    missesTheChargeAtOnce(saga, order);
    saga.onStep(order, 'before', 'chargePayment', () => {
      charging.give();
      return goOn.given;
    });
    const handle = await start(order);
    await charging.given;
    await handle.cancel();
    expect(await failureOf(handle)).toBe('CancelledFailure');
    goOn.give();
    const key = paymentKey(order.requestId, order.orderId, 1);
    const late = { key, amountMinor: 1000, currency: 'USD', keySince: 0 };
    const context = { requestId: order.requestId, itemId: order.itemId, userId: order.userId };
    await expect(money.provider.charge({ ...late, context })).resolves.toMatchObject({
      kind: 'declined',
    });
    expect(moneyOf(order)).toEqual({ '1': 'blocked' });
  });
});
