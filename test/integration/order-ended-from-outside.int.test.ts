import type { Order } from '../../engine/orders/order';
import { ORDER_WORKFLOW } from '../../engine/orders/contract';
import { orderStartOptions } from '../../engine/orders/order-start';
import { eventually } from '../support/eventually';
import { asItIs, heldUp, losesItsCharge } from '../support/held-up';
import { anOrder } from '../support/purchases';
import { useSaga } from '../support/saga';
import type { Step } from '../support/step-hooks';

const saga = useSaga();

const COMPENSATION: readonly Step[] = ['releaseStock', 'refundPayment', 'deadLetter'];

/** What a restart by hand does: of several at once exactly one is let in. */
async function restart(order: Order) {
  const starts = await Promise.allSettled(
    Array.from({ length: 3 }, () => saga.start(order, 'ALLOW_DUPLICATE_FAILED_ONLY')),
  );
  expect(starts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  return saga.handleOf(order);
}

/** Sold, paid for once, whatever the run that was ended has left. */
async function expectSoldOnce(order: Order, generation: number): Promise<void> {
  const money = saga.money.moneyOf(order.requestId);
  const captured = Object.keys(money).filter((key) => money[key] === 'captured');
  expect(captured).toEqual([String(generation)]);
  expect(await saga.entryOf(order)).toMatchObject({
    state: 'sold',
    generation,
    unresolvedCharges: [],
  });
  expect(await saga.countsOf(order)).toEqual({
    free: 0,
    held: 0,
    queued: 0,
    reserved: 0,
    sold: 1,
    supply: 1,
  });
}

describe('an order whose run is terminated by an operator', () => {
  test.each<['before' | 'after', Step, string, number]>([
    ['before', 'reserveStock', 'queued', 1],
    ['after', 'reserveStock', 'reserved', 1],
    ['before', 'chargePayment', 'reserved', 1],
    ['after', 'chargePayment', 'reserved', 1],
    ['before', 'confirmSale', 'reserved', 1],
    ['before', 'releaseStock', 'reserved', 1],
    ['after', 'releaseStock', 'released', 2],
    ['before', 'refundPayment', 'released', 2],
    ['after', 'refundPayment', 'released', 2],
    ['before', 'deadLetter', 'released', 2],
  ])(
    '%s %s is left %s: nothing gives back, and a restart sells it, paid once, as generation %i',
    async (when, step, left, generation) => {
      const { order, handle, letGo } = await heldUp(
        saga,
        when,
        step,
        COMPENSATION.includes(step) ? losesItsCharge : asItIs,
      );
      await handle.terminate('by an operator, for a test');
      expect((await handle.describe()).status.name).toBe('TERMINATED');
      expect(await saga.entryOf(order)).toMatchObject({ state: left });

      const again = await restart(order);
      const result = await again.result();
      // What the terminated run had under way comes to its end after all has been done anew.
      letGo();
      expect(result).toMatchObject({ outcome: 'confirmed', generation });
      await eventually(
        'nothing is owed',
        async () => (await saga.entryOf(order))?.unresolvedCharges.length === 0,
      );
      await expectSoldOnce(order, generation);
    },
  );

  test('and cancelled by its buyer is released by a restart', async () => {
    const { order, handle, letGo } = await heldUp(saga, 'after', 'chargePayment');
    await handle.terminate('by an operator, for a test');
    expect(await saga.ledger.cancel(order)).toMatchObject({ kind: 'under-way' });
    expect(await (await restart(order)).result()).toEqual({ outcome: 'cancelled' });
    letGo();
    expect(saga.money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
  });
});

describe('a run that is over before its saga is', () => {
  test('releases nothing, which is why orders have no workflow timeout', async () => {
    const options = orderStartOptions({ order: anOrder() }, 'any', { kind: 'first' });
    expect(Object.keys(options).filter((name) => /timeout/i.test(name))).toEqual([]);

    const startWithTimeout = (order: Order) =>
      saga.client.workflow.start(ORDER_WORKFLOW, {
        ...orderStartOptions({ order }, saga.taskQueue, { kind: 'first' }),
        workflowExecutionTimeout: '1 second',
      });
    const { order, handle, letGo } = await heldUp(
      saga,
      'after',
      'chargePayment',
      asItIs,
      startWithTimeout,
    );
    await eventually('the run has timed out', async () => {
      return (await handle.describe()).status.name === 'TIMED_OUT';
    });
    expect(saga.money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    expect(await saga.entryOf(order)).toMatchObject({ state: 'reserved' });
    expect(saga.lettersOf(order)).toEqual([]);

    const again = await restart(order);
    expect(await again.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    letGo();
    await expectSoldOnce(order, 1);
  });
});
