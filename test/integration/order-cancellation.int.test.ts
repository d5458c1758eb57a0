import { createCancelOrder, createCancelWorkflow } from '../../api/routes/cancel-order';
import { withOrderReplayer } from '../../engine/dead-letters/order-replayer';
import type { Order } from '../../engine/orders/order';
import { orderCharge } from '../../engine/payments/own-charge';
import type { BuyerAction } from '../engine/payments/checkout.contract';
import { temporalAddress } from '../support/addresses';
import { eventually } from '../support/eventually';
import {
  cancellationHeeded,
  asItIs,
  capturedOf,
  endOf,
  heldUp,
  isChargedInDoubt,
  losesItsCharge,
  missesTheChargeAtOnce,
  noAnswer,
  hasUnresolvedCharge,
  type Arrange,
} from '../support/held-up';
import { createFakePublisher } from '../api/fake-publisher';
import { aSignal, failureOf, useSaga, workflowTasksOf } from '../support/saga';
import type { Step } from '../support/step-hooks';
import { temporalCli } from '../support/temporal-cli';
import { ORDER_OUTCOME } from '../../engine/orders/contract';

const saga = useSaga();

/** DELETE /orders/<request_id>, by the order's buyer. */
async function cancelByBuyer({ requestId, userId }: Order) {
  const cancelOrder = createCancelOrder({
    ledger: saga.ledger,
    lookUp: (id) => saga.ledger.findOrder(id),
    cancelWorkflow: createCancelWorkflow(saga.client),
    cancellations: createFakePublisher(),
    isClosing: () => false,
    // The machine of a test may be busy: the bound is not what is tested here.
    waitMsMax: 20_000,
  });
  const { status, body } = await cancelOrder({
    params: { request_id: requestId },
    querystring: `user_id=${userId}`,
    req: { headers: {} },
  });
  return { status, body: JSON.parse(String(body)) as Record<string, unknown> };
}

/** Nothing sold, nothing paid, nothing owed, nothing for the dead letters, and the buyer is told so. */
async function expectCancelled(order: Order): Promise<void> {
  expect(await saga.entryOf(order)).toMatchObject({
    state: 'released',
    reason: 'cancelled',
    cancelledByBuyer: true,
    unresolvedCharges: [],
  });
  expect(await saga.countsOf(order)).toEqual({
    free: 1,
    held: 0,
    queued: 0,
    reserved: 0,
    sold: 0,
    supply: 1,
  });
  expect(capturedOf(saga, order)).toBe(0);
  expect(saga.lettersOf(order)).toEqual([]);
  expect(await cancelByBuyer(order)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
}

describe('an order that its buyer cancels', () => {
  test('before its record was read ends as cancelled, charges nothing, and is found by its outcome', async () => {
    const order = await saga.aQueuedOrder();
    expect(await cancelByBuyer(order)).toMatchObject({ status: 200 });
    const handle = await saga.start(order);
    expect(await handle.result()).toEqual({ outcome: 'cancelled' });
    const { typedSearchAttributes } = await handle.describe();
    expect(typedSearchAttributes.get(ORDER_OUTCOME)).toBe('cancelled');
    expect(saga.money.moneyOf(order.requestId)).toEqual({});
    await expectCancelled(order);
    // So does a replay of its letter, if it has one from an earlier try.
    const temporal = {
      address: temporalAddress(),
      namespace: 'default',
      taskQueue: saga.taskQueue,
    };
    const standing = await withOrderReplayer(temporal, (replayer) => replayer.look(order));
    expect(standing).toEqual({ kind: 'cancelled' });
  });

  test('before its first step never takes that step', async () => {
    const { order, handle, letGo } = await heldUp(saga, 'before', 'reserveStock');
    expect(await cancelByBuyer(order)).toMatchObject({ status: 200 });
    letGo();
    expect(await handle.result()).toEqual({ outcome: 'cancelled' });
    expect(saga.money.moneyOf(order.requestId)).toEqual({});
    await expectCancelled(order);
  });

  test.each<[string, 'before' | 'after', Step, Arrange]>([
    ['while it is reserved', 'after', 'reserveStock', asItIs],
    ['while an earlier generation is settled', 'before', 'refundPayment', hasUnresolvedCharge],
    ['before it is charged', 'before', 'chargePayment', missesTheChargeAtOnce],
    ['while its charge is taken and not told', 'after', 'chargePayment', isChargedInDoubt],
  ])('%s gets everything back', async (_, when, step, arrange) => {
    const { order, handle, letGo } = await heldUp(saga, when, step, arrange);
    const answer = cancelByBuyer(order);
    // A local activity is not interrupted, and a regular one may go on beside the compensation.
    await markedOrDone(order);
    // What is asked of Temporal may arrive later than the mark: the run must not have come to its sale by then.
    if (step === 'reserveStock') {
      saga.onStep(order, 'before', 'chargePayment', noAnswer, () => cancellationHeeded(handle));
    } else {
      await cancellationHeeded(handle);
    }
    letGo();
    expect(await answer).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect(await endOf(handle)).toBe('cancelled');
    await expectCancelled(order);
  });

  test.each<['before' | 'after', Step]>([
    ['before', 'chargePayment'],
    ['after', 'chargePayment'],
    ['before', 'confirmSale'],
    ['after', 'confirmSale'],
  ])('%s %s, within its first task, is too late: it is sold, and paid once', async (when, step) => {
    const { order, handle, letGo } = await heldUp(saga, when, step);
    const answer = cancelByBuyer(order);
    await markedOrDone(order);
    letGo();
    expect(await answer).toMatchObject({
      status: 409,
      body: { reason: 'confirmed', order: { status: 'confirmed' } },
    });
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    expect(capturedOf(saga, order)).toBe(1);
  });

  test.each<[string, BuyerAction | undefined, string]>([
    ['which nobody pays', undefined, 'cancelled'],
    ['which is paid', 'approve', 'refunded'],
    ['which a bank has not decided', 'processing', 'refunded'],
  ])(
    'whose run was not told of its reservation ends its payment first, %s',
    async (_, action, money) => {
      const order = await saga.aQueuedOrder({ payWithinMs: 600_000 });
      const [parked, goOn] = [aSignal(), aSignal()];
      saga.onStep(order, 'after', 'reserveStock', noAnswer);
      saga.onStep(
        order,
        'before',
        'reserveStock',
        () => undefined,
        () => {
          parked.give();
          return goOn.given;
        },
      );
      const handle = await saga.start(order);
      await parked.given;
      const charge = orderCharge(order, 1);
      await saga.money.provider.checkout(charge);
      if (action) saga.money.pay(charge.key, action);
      const asked: string[] = [];
      const look = async (verb: string) => {
        asked.push(`${verb} while ${String((await saga.entryOf(order))?.state)}`);
      };
      const decide = async (verb: string) => {
        await look(verb);
        saga.money.pay(charge.key, 'approve');
      };
      const isUndecided = action === 'processing';
      saga.money.faultNext(look, ...(isUndecided ? [decide] : []));
      await handle.cancel();
      await cancellationHeeded(handle);
      expect(await endOf(handle)).toBe('cancelled');
      goOn.give();
      expect(asked).toEqual(Array(isUndecided ? 2 : 1).fill('cancel while reserved'));
      expect(saga.money.moneyOf(order.requestId)).toEqual({ '1': money });
      expect(await saga.entryOf(order)).toMatchObject({
        state: 'released',
        unresolvedCharges: [],
      });
      expect(await saga.countsOf(order)).toMatchObject({ free: 1, reserved: 0 });
    },
  );

  test('without an open run is cancelled in the ledger alone', async () => {
    const order = await saga.aQueuedOrder();
    await saga.ledger.reserve(order, 1);
    await createCancelWorkflow(saga.client)(order.requestId);
    expect(await saga.entryOf(order)).toMatchObject({ state: 'reserved' });
  });

  test('while it is about to fail ends as cancelled, so that it is not tried again', async () => {
    const { order, handle, letGo } = await heldUp(saga, 'before', 'releaseStock', losesItsCharge);
    const answer = cancelByBuyer(order);
    await markedOrDone(order);
    letGo();
    expect(await answer).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect(await endOf(handle)).toBe('cancelled');
    await expectCancelled(order);
  });

  test.each<['before' | 'after', Step]>([
    ['before', 'refundPayment'],
    ['before', 'deadLetter'],
    ['after', 'deadLetter'],
  ])('%s %s of its compensation has failed already', async (when, step) => {
    const { order, handle, letGo } = await heldUp(saga, when, step, losesItsCharge);
    expect(await cancelByBuyer(order)).toMatchObject({
      status: 409,
      body: { reason: 'failed', order: { status: 'failed', reason: 'payment-unknown' } },
    });
    letGo();
    expect(await failureOf(handle)).toBe('payment-unknown');
    expect(capturedOf(saga, order)).toBe(0);
    expect(saga.lettersOf(order)).toHaveLength(1);
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, supply: 1 });
  });
});

/** Waits until the ledger has heard of the cancellation, or has nothing to hear any more. */
function markedOrDone(order: Order): Promise<unknown> {
  return eventually(`the ledger knows that ${order.requestId} is cancelled`, async () => {
    const entry = await saga.entryOf(order);
    return entry?.cancelledByBuyer ?? entry?.state === 'sold';
  });
}

describe('an order that was cancelled by its buyer', () => {
  const cancelledDuringCharge = async () => {
    const driven = await heldUp(saga, 'after', 'chargePayment', isChargedInDoubt);
    expect(await cancelByBuyer(driven.order)).toMatchObject({ status: 200 });
    driven.letGo();
    await endOf(driven.handle);
    return driven;
  };

  test('is not sold by a reset to any of its workflow tasks', async () => {
    const specimen = await cancelledDuringCharge();
    const tasks = await workflowTasksOf(specimen.handle);
    expect(tasks.length).toBeGreaterThan(2);
    await Promise.all(
      tasks.map(async (_, index) => {
        const { order, handle } = await cancelledDuringCharge();
        // Two runs need not have the same number of tasks: what arrives together is one task.
        const own = await workflowTasksOf(handle);
        const eventId = own[Math.min(index, own.length - 1)];
        if (eventId === undefined) throw new Error('the run has no workflow task');
        const { runId } = await handle.describe();
        expect(await endOf(await saga.reset(order, { runId, eventId }))).toBe('cancelled');
        await expectCancelled(order);
      }),
    );
  }, 60_000);

  test('is not sold by the reset of the temporal command, nor by a start after a failure', async () => {
    const { order } = await cancelledDuringCharge();
    await temporalCli(
      ...['workflow', 'reset', '--workflow-id', order.requestId],
      ...['--type', 'FirstWorkflowTask', '--reason', 'for a test'],
    );
    expect(await endOf(saga.handleOf(order))).toBe('cancelled');
    await expectCancelled(order);
    // The run has completed, so the server itself refuses another one.
    await expect(saga.start(order, 'ALLOW_DUPLICATE_FAILED_ONLY')).rejects.toThrow(
      'Workflow execution already started',
    );
  });

  test('stays cancelled when it is reset while the cancellation is on its way', async () => {
    const { order, letGo } = await heldUp(saga, 'after', 'chargePayment', isChargedInDoubt);
    // The gateway has marked it and died before it asked Temporal.
    expect(await saga.ledger.cancel(order)).toMatchObject({ kind: 'under-way' });
    const again = await saga.reset(order);
    expect(await again.result()).toEqual({ outcome: 'cancelled' });
    letGo();
    await expectCancelled(order);
  });
});
