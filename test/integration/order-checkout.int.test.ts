import { register } from 'prom-client';
import { setTimeout as sleep } from 'node:timers/promises';
import { createOrderActivities } from '../../activities/order-activities';
import {
  createHintedRuns,
  createPaymentHints,
  type HintOutcome,
} from '../../engine/payments/payment-hints';
import { createOrderRuns } from '../../engine/reconciliation/order-runs';
import type { PaymentHint } from '../../engine/payments/payment-provider';
import { orderCharge } from '../../engine/payments/own-charge';
import { ORDER_OUTCOME, PAYMENT_SIGNAL } from '../../engine/orders/contract';
import { paymentKey, type Order } from '../../engine/orders/order';
import { aSignal, failureOf, useSaga, type OrderHandle } from '../support/saga';
import { recordAfterSale } from '../replay/paths-after-sale';
import { eventually } from '../support/eventually';
import { hasUnresolvedCharge } from '../support/held-up';

const saga = useSaga();
const { money, start, reset, lettersOf, eventsOf, countsOf } = saga;

const LONG_MS = 600_000;
/** More than a run takes to get there, on a busy machine. */
const SHORT_MS = 2_000;
const HOUR_MS = 3_600_000;

const keyOf = (order: Order, generation = 1) =>
  paymentKey(order.requestId, order.orderId, generation);

/** An order whose buyer has the page before them. `aheadMs`: how far Redis's clock is ahead of Temporal's, as the run is told. */
async function anAwaitingOrder(
  payWithinMs: number,
  aheadMs = 0,
): Promise<{ order: Order; run: OrderHandle }> {
  const order = await saga.aQueuedOrder({ payWithinMs });
  saga.onStep(order, 'after', 'reserveStock', async (reservation = {}) => {
    const { payBy = 0 } = (await saga.entryOf(order)) ?? {};
    Object.assign(reservation, { payBy: payBy + aheadMs });
  });
  const run = await start(order);
  await untilAwaiting(order);
  await money.provider.checkout(orderCharge(order, 1));
  return { order, run };
}

function untilAwaiting(order: Order, generation = 1) {
  return eventually('the order awaits its payment', async () => {
    const entry = await saga.entryOf(order);
    return entry?.state === 'reserved' && entry.generation === generation && entry.payBy;
  });
}

/** It does not count as open, and people find it. */
function untilShown(run: OrderHandle) {
  return eventually('the run shows what it waits for', async () => {
    const { typedSearchAttributes } = await run.describe();
    return typedSearchAttributes.get(ORDER_OUTCOME) === 'awaiting-payment';
  });
}

async function countedAs(outcome: HintOutcome): Promise<number> {
  const found = await register.getSingleMetric('flash_sale_payment_hints_total')?.get();
  return found?.values.find(({ labels }) => labels['outcome'] === outcome)?.value ?? 0;
}

const act = (hint: PaymentHint) =>
  createPaymentHints({
    ledger: saga.ledger,
    runs: createHintedRuns(saga.client, saga.taskQueue),
    noteReturns: () => Promise.resolve(),
    endOf: () => Promise.resolve(undefined),
  })(hint);
const paid = (order: Order, generation = 1): PaymentHint => ({
  kind: 'paid',
  key: keyOf(order, generation),
  requestId: order.requestId,
  itemId: order.itemId,
});

describe('an order that its buyer pays', () => {
  test('is charged by nobody, and confirmed once it is paid and a hint has come', async () => {
    const order = await saga.aQueuedOrder({ payWithinMs: LONG_MS });
    const run = await start(order);
    // A charge of the engine's would come before this, and fail after the page was opened.
    await untilShown(run);
    expect(money.moneyOf(order.requestId)).toEqual({});
    await money.provider.checkout(orderCharge(order, 1));
    money.pay(keyOf(order), 'approve');
    expect(await act(paid(order))).toBe('run-asked');
    expect(await run.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    expect(await countsOf(order)).toMatchObject({ free: 0, reserved: 0, sold: 1 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    expect(eventsOf(order)).toMatchObject([{ status: 'confirmed' }]);
    expect((await run.describe()).typedSearchAttributes.get(ORDER_OUTCOME)).toBeUndefined();
  });

  test('waits on after a hint that was wrong, and after a card that was declined', async () => {
    const { order, run } = await anAwaitingOrder(LONG_MS);
    const key = keyOf(order);
    for (const action of ['decline', 'challenge'] as const) {
      money.pay(key, action);
      const { given, give } = aSignal();
      saga.onStep(order, 'after', 'findPayment', () => {
        give();
        return undefined;
      });
      await run.signal(PAYMENT_SIGNAL, keyOf(order, 2));
      await act(paid(order));
      expect(await Promise.race([given, run.result()])).toBeUndefined();
    }
    money.pay(key, 'approve-challenge');
    await act(paid(order));
    await act(paid(order));
    expect(await run.result()).toMatchObject({ outcome: 'confirmed', paymentId: `pay-${key}` });
    expect(await act(paid(order))).toBe('ignored');
  });

  test('ends as cancelled at its deadline, once the payment is cancelled, without a letter', async () => {
    const { order, run } = await anAwaitingOrder(SHORT_MS);
    expect(await run.result()).toEqual({ outcome: 'cancelled', reason: 'payment-deadline' });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'cancelled' });
    expect(await saga.entryOf(order)).toMatchObject({
      state: 'released',
      reason: 'payment-deadline',
      unresolvedCharges: [],
    });
    expect(await countsOf(order)).toMatchObject({ free: 1, reserved: 0, sold: 0 });
    expect(lettersOf(order)).toEqual([]);
    expect(eventsOf(order)).toMatchObject([{ status: 'cancelled', reason: 'payment-deadline' }]);
    expect((await run.describe()).typedSearchAttributes.get(ORDER_OUTCOME)).toBe(
      'payment-deadline',
    );
  });

  test('has its time by the clock of Redis, though another clock may be hours off', async () => {
    const behind = await anAwaitingOrder(LONG_MS, -HOUR_MS);
    await sleep(SHORT_MS);
    money.pay(keyOf(behind.order), 'approve');
    await act(paid(behind.order));
    expect(await behind.run.result()).toMatchObject({ outcome: 'confirmed' });
    const { run } = await anAwaitingOrder(SHORT_MS, HOUR_MS);
    expect(await run.result()).toEqual({ outcome: 'cancelled', reason: 'payment-deadline' });
  });

  test('keeps its units until the provider has cancelled the payment', async () => {
    const { order, run } = await anAwaitingOrder(SHORT_MS);
    const { given, give } = aSignal();
    let seen: unknown;
    saga.onStep(order, 'before', 'cancelPayment', async () => {
      seen = await saga.entryOf(order);
      give();
    });
    await given;
    await run.result();
    expect(seen).toMatchObject({ state: 'reserved' });
  });

  test('is confirmed at its deadline when the buyer was faster and no hint has come', async () => {
    const { order, run } = await anAwaitingOrder(SHORT_MS);
    money.pay(keyOf(order), 'approve');
    expect(await run.result()).toMatchObject({ outcome: 'confirmed' });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    expect(await countsOf(order)).toMatchObject({ free: 0, sold: 1 });
  });

  test('is cancelled by Temporal only after its payment is, and confirmed when that is too late', async () => {
    const unpaid = await anAwaitingOrder(LONG_MS);
    const lucky = await anAwaitingOrder(LONG_MS);
    money.pay(keyOf(lucky.order), 'approve');
    await Promise.all([unpaid.run.cancel(), lucky.run.cancel()]);
    expect(await failureOf(unpaid.run)).toBe('CancelledFailure');
    expect(money.moneyOf(unpaid.order.requestId)).toEqual({ '1': 'cancelled' });
    expect(await countsOf(unpaid.order)).toMatchObject({ free: 1 });
    expect(await lucky.run.result()).toMatchObject({ outcome: 'confirmed' });
    expect(await countsOf(lucky.order)).toMatchObject({ free: 0, sold: 1 });
  });

  test('that a buyer has cancelled in the ledger ends so, with its payment', async () => {
    const { order, run } = await anAwaitingOrder(LONG_MS);
    await saga.ledger.cancel(order);
    await run.cancel();
    expect(await failureOf(run)).toBe('CancelledFailure');
    expect(await saga.entryOf(order)).toMatchObject({ state: 'released', reason: 'cancelled' });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'cancelled' });
  });

  test('that a buyer has cancelled keeps its units after a reset until its payment is ended', async () => {
    const { order, run } = await anAwaitingOrder(LONG_MS);
    await saga.ledger.cancel(order);
    const seen: unknown[] = [];
    money.faultNext(async (verb) => {
      seen.push(verb, (await saga.entryOf(order))?.state);
    });
    const again = await reset(order, { runId: (await run.describe()).runId });
    expect(await again.result()).toEqual({ outcome: 'cancelled' });
    expect(seen).toEqual(['cancel', 'reserved']);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'cancelled' });
    expect(await saga.entryOf(order)).toMatchObject({ state: 'released', reason: 'cancelled' });
  });

  test('keeps its units when a late release of an ended payment comes, until the open one is ended', async () => {
    const order = await saga.aQueuedOrder({ payWithinMs: LONG_MS });
    await saga.ledger.reserve(order, 1);
    await saga.ledger.release({ order, fence: 2, reason: 'payment-deadline', declined: 1 });
    await saga.ledger.reserve(order, 3);
    await money.provider.checkout(orderCharge(order, 2));
    const seen: unknown[] = [];
    money.faultNext(async (verb) => {
      seen.push(verb, (await saga.entryOf(order))?.state);
    });
    const { releaseStock } = createOrderActivities(saga.clients);
    await releaseStock({ order, fence: 4, reason: 'payment-deadline', declined: 1 });
    expect(seen).toEqual(['cancel', 'reserved']);
    expect(money.moneyOf(order.requestId)).toEqual({ '2': 'cancelled' });
    expect(await saga.entryOf(order)).toMatchObject({ state: 'released', unresolvedCharges: [] });
  });

  test('has its time from its reservation, though earlier charges take longer to resolve', async () => {
    const order = await saga.aQueuedOrder({ payWithinMs: 6_000 });
    await hasUnresolvedCharge(saga, order);
    let resolvedAt = 0;
    saga.onStep(order, 'before', 'refundPayment', async () => {
      await sleep(7_000);
      resolvedAt = Date.now();
    });
    const run = await start(order);
    expect(await run.result()).toEqual({ outcome: 'cancelled', reason: 'payment-deadline' });
    expect(Date.now() - resolvedAt).toBeLessThan(6_000);
  });

  test('has no more time and no second payment after a reset', async () => {
    const { order, run } = await anAwaitingOrder(LONG_MS);
    const payBy = (await saga.entryOf(order))?.payBy;
    const { runId } = await run.describe();
    const again = await reset(order, { runId });
    await untilShown(again);
    expect(await saga.entryOf(order)).toMatchObject({ generation: 1, payBy });
    money.pay(keyOf(order), 'approve');
    await act(paid(order));
    expect(await again.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });

  test('has a payment of its own when it is tried again after its deadline', async () => {
    const { order, run } = await anAwaitingOrder(SHORT_MS);
    await run.result();
    const again = await reset(order);
    await untilAwaiting(order, 2);
    await money.provider.checkout(orderCharge(order, 2));
    money.pay(keyOf(order, 2), 'approve');
    await act(paid(order, 2));
    expect(await again.result()).toMatchObject({ outcome: 'confirmed', generation: 2 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'cancelled', '2': 'captured' });
  });

  test('gets its money back and one letter when its units are gone', async () => {
    const { order, run } = await anAwaitingOrder(LONG_MS);
    await saga.ledger.release({ order, fence: Date.now() + 60_000, reason: 'sale-lost' });
    money.pay(keyOf(order), 'approve');
    await run.signal(PAYMENT_SIGNAL, keyOf(order));
    expect(await failureOf(run)).toBe('late-payment');
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(lettersOf(order)).toMatchObject([{ reason: 'late-payment' }]);
  });

  test('keeps money and units for an operator when its run is over, and it is counted', async () => {
    const before = await countedAs('no-run');
    const { order, run } = await anAwaitingOrder(LONG_MS);
    await run.terminate('by the test');
    money.pay(keyOf(order), 'approve');
    expect(await act(paid(order))).toBe('no-run');
    expect(await countedAs('no-run')).toBe(before + 1);
    expect(await saga.entryOf(order)).toMatchObject({ state: 'reserved' });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    const runs = createOrderRuns(saga.client, saga.taskQueue);
    await runs.startAgain(order, { by: 'ann', why: 'by the test' });
    await eventually('the new run asks', async () => (await act(paid(order))) !== 'no-run');
    const again = saga.client.workflow.getHandle(order.requestId);
    expect(await again.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
  });

  test('gets money back that comes when its run and its sale are over, and it is counted', async () => {
    const before = await countedAs('refund-started');
    const { order, run } = await anAwaitingOrder(LONG_MS);
    await run.terminate('by the test');
    // Nobody but an operator would: the payment is still open.
    await saga.ledger.release({ order, fence: Date.now() + 60_000, reason: 'sale-lost' });
    money.pay(keyOf(order), 'approve');
    expect(await act(paid(order))).toBe('refund-started');
    expect(await act(paid(order))).toBe('refund-started');
    const refund = saga.client.workflow.getHandle(`refund/${keyOf(order)}`);
    expect(await refund.result()).toBe('refunded');
    expect(await countedAs('refund-started')).toBe(before + 2);
    await recordAfterSale('after-sale-late-payment-given-back', refund);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
  });

  test('waits with its units while the bank has not decided, which an operator is told', async () => {
    const { order, run } = await anAwaitingOrder(SHORT_MS);
    money.pay(keyOf(order), 'processing');
    const entry = await saga.entryOf(order);
    await sleep((entry?.payBy ?? 0) - Date.now() + SHORT_MS);
    expect(await saga.entryOf(order)).toMatchObject({ state: 'reserved' });
    expect(saga.undecided).toContain(keyOf(order));
    money.pay(keyOf(order), 'approve');
    await act(paid(order));
    expect(await run.result()).toMatchObject({ outcome: 'confirmed' });
  });
});

describe('a hint', () => {
  test('of an order that is not known changes nothing', async () => {
    const order = await saga.aQueuedOrder({ payWithinMs: LONG_MS });
    const stranger = { ...paid(order), requestId: `${order.requestId}x` };
    expect(await act({ ...stranger, key: `${order.requestId}x:other:1` })).toBe('unknown-order');
    expect(await act({ ...paid(order), key: 'another-key:1' })).toBe('ignored');
    expect(await act({ ...paid(order), itemId: '{bad}' })).toBe('ignored');
    expect(await act({ ...paid(order), key: `${order.requestId}:other:1` })).toBe('unknown-order');
  });
});
