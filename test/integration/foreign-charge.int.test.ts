import { paymentKey, type Order } from '../../engine/orders/order';
import { makeOld } from '../support/old-entry';
import { failureOf, useSaga } from '../support/saga';

const saga = useSaga();
const { money } = saga;

/** An order under the old key, which an earlier order of the same request_id may have used. */
async function anOldOrder(): Promise<Order> {
  const order = { ...(await saga.aQueuedOrder()), orderId: undefined };
  await makeOld(saga.redis, order);
  return order;
}

const keyOf = ({ requestId }: Order) => paymentKey(requestId, undefined, 1);

/** The earlier order is charged under the first generation's key. */
async function chargeEarlier(order: Order, amountMinor: number, currency: string): Promise<void> {
  const { requestId, userId } = order;
  const context = { requestId, userId, itemId: 'another-item' };
  await money.provider.charge({ key: keyOf(order), amountMinor, currency, keySince: 0, context });
}

describe('a payment key that holds the charge of another order', () => {
  test.each([
    ['amount', 700, 'USD'],
    ['currency', 1000, 'EUR'],
  ])('of another %s pays nothing, and nothing is refunded', async (_, amount, currency) => {
    const order = await anOldOrder();
    await chargeEarlier(order, amount, currency);
    expect(await failureOf(await saga.start(order))).toBe('payment-unknown');
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    expect([money.amountOf(keyOf(order)), money.currencyOf(keyOf(order))]).toEqual([
      amount,
      currency,
    ]);
    expect(await saga.entryOf(order)).toMatchObject({ state: 'released', unresolvedCharges: [] });
    const holds = `the key ${keyOf(order)} holds pay-${keyOf(order)}`;
    const told: unknown = expect.stringContaining(holds);
    expect(saga.lettersOf(order)).toMatchObject([{ reason: 'payment-unknown', error: told }]);
    expect(saga.foreign).toContainEqual(told);
  });

  test('is left alone where an unresolved generation is settled, and the order goes on', async () => {
    const order = await anOldOrder();
    await saga.ledger.reserve(order, 1);
    await saga.ledger.release({ order, fence: 2, reason: 'payment-unknown' });
    await chargeEarlier(order, 700, 'USD');
    const result = await (await saga.start(order)).result();
    expect(result).toMatchObject({ outcome: 'confirmed', generation: 2 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured', '2': 'captured' });
    expect(money.amountOf(keyOf(order))).toBe(700);
    expect(await saga.entryOf(order)).toMatchObject({ state: 'sold', unresolvedCharges: [] });
  });
});
