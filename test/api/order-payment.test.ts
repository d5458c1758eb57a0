import { createReadPayment } from '../../api/routes/order-payment';
import type { LedgerEntry } from '../../engine/orders/ledger';
import { orderCharge } from '../../engine/payments/own-charge';
import type { PaymentHint } from '../../engine/payments/payment-provider';
import { eventually } from '../support/eventually';
import { createFakePaymentProvider } from '../support/fake-payment-provider';
import { anAttempt, anOrder, aPurchase } from '../support/purchases';

const MINUTE = 60_000;

/** A gateway's view of payments, on a clock of its own. */
function aView() {
  let time = 1_700_000_000_000;
  const money = createFakePaymentProvider();
  const told: PaymentHint[] = [];
  const reported: string[] = [];
  let looks = 0;
  const provider = {
    checkout: (...args: Parameters<typeof money.provider.checkout>) => {
      looks++;
      return money.provider.checkout(...args);
    },
  };
  const read = createReadPayment({
    provider,
    act: (hint) => {
      told.push(hint);
      return Promise.resolve('run-asked');
    },
    errors: { report: (problem) => void reported.push(problem) },
    now: () => time,
  });
  const pass = (ms: number) => {
    time += ms;
  };
  /** An order that waits for its buyer for an hour, and the look of its page. */
  const anAwaitingOrder = () => {
    const order = anOrder(anAttempt(aPurchase()));
    const { key } = orderCharge(order, 1);
    const entry: LedgerEntry = {
      orderId: order.orderId,
      userId: order.userId,
      fingerprint: order.fingerprint,
      priceMinor: order.priceMinor,
      currency: order.currency,
      acceptedAt: order.acceptedAt,
      state: 'reserved',
      units: order.amount,
      generation: 1,
      fence: 1,
      unresolvedCharges: [1],
      payBy: time + 60 * MINUTE,
      timeline: [],
    };
    const look = () => read(order.requestId, { itemId: order.itemId, entry });
    return { order, key, look };
  };
  return { money, told, reported, looks: () => looks, pass, anAwaitingOrder };
}

describe('the payment of an order, as its page sees it', () => {
  test('that the provider can never take is told to its run at once, and costs polls nothing', async () => {
    const view = aView();
    const { order, key, look } = view.anAwaitingOrder();
    await view.money.provider.refund(key);
    for (let poll = 0; poll < 10; poll++) {
      expect(Object.keys((await look()) ?? {})).toEqual(['pay_by']);
    }
    const { requestId, itemId } = order;
    expect(view.told).toEqual([{ kind: 'ended', key, requestId, itemId }]);
    expect(view.looks()).toBe(1);
  });

  test('is asked for once a minute at most, and the page stays shown', async () => {
    const view = aView();
    const { key, look } = view.anAwaitingOrder();
    const page = expect.objectContaining({ url: `https://pay.example/${key}` }) as object;
    for (let second = 0; second < 60; second++) {
      expect(await look()).toEqual(page);
      view.pass(1_000);
    }
    expect(view.looks()).toBe(1);
    view.money.faultNext(() => {
      throw new Error('the provider is away');
    });
    view.pass(30_000);
    expect(await look()).toEqual(page);
    await eventually('it is looked at again', () => view.reported.length === 1);
    expect(await look()).toEqual(page);
    expect(view.looks()).toBe(2);
    view.money.pay(key, 'approve');
    view.pass(MINUTE);
    await look();
    await eventually('its run is told', () => view.told.length === 1);
    expect(Object.keys((await look()) ?? {})).toEqual(['pay_by']);
  });

  test('is opened at once, whatever is looked at again', async () => {
    const view = aView();
    const orders = Array.from({ length: 100 }, view.anAwaitingOrder);
    for (const { look } of orders) await look();
    view.pass(2 * MINUTE);
    const never = new Promise<void>(() => undefined);
    view.money.faultNext(...orders.map(() => () => never));
    for (const { look } of orders) await look();
    expect(view.looks()).toBe(102);
    const late = view.anAwaitingOrder();
    void late.look();
    expect(view.looks()).toBe(103);
  });
});
