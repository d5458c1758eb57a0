import type { Order } from '../../engine/orders/order';
import { losesItsCharge } from '../support/held-up';
import { failureOf, useSaga } from '../support/saga';
import type { Step } from '../support/step-hooks';

const saga = useSaga();

/** The next calls of a step fail: before they do anything, or with their answer lost. */
function failsFor(order: Order, when: 'before' | 'after', step: Step, times: number): void {
  saga.onStep(order, when, step, () => {
    if (times > 1) failsFor(order, when, step, times - 1);
    throw new Error('away for a while');
  });
}

describe('an order whose compensation fails for a while', () => {
  test.each<['before' | 'after', Step]>([
    ['before', 'releaseStock'],
    ['after', 'releaseStock'],
    ['before', 'refundPayment'],
    ['after', 'refundPayment'],
    ['before', 'deadLetter'],
    ['after', 'deadLetter'],
  ])('%s %s gets everything back in the end, and has one letter', async (when, step) => {
    const order = await saga.aQueuedOrder();
    losesItsCharge(saga, order);
    failsFor(order, when, step, 3);
    const handle = await saga.start(order);
    expect(await failureOf(handle)).toBe('payment-unknown');
    expect(saga.money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(await saga.entryOf(order)).toMatchObject({
      state: 'released',
      reason: 'payment-unknown',
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
    // A letter whose acknowledgement was lost is written again, under the same id.
    expect(new Set(saga.lettersOf(order).map(({ id }) => id)).size).toBe(1);
    expect(await attemptsOf(handle, step)).toBe(4);
  });
});

test('a refund that the provider refuses is tried for an hour, and then the order is parked', async () => {
  const order = await saga.aQueuedOrder();
  losesItsCharge(saga, order);
  const handle = await saga.start(order);
  expect(await failureOf(handle)).toBe('payment-unknown');
  const refund = await scheduled(handle, 'refundPayment');
  // Nobody waits for the hour here: what comes then is the way of every step that cannot get on.
  expect(Number(refund?.scheduleToCloseTimeout?.seconds)).toBe(3_600);
});

/** On which attempt an activity was done: its failed ones leave no other event. */
async function attemptsOf(handle: Awaited<ReturnType<typeof saga.start>>, step: Step) {
  const { events } = await handle.fetchHistory();
  const asked = events?.find(
    (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === step,
  );
  return events?.find(
    ({ activityTaskStartedEventAttributes: started }) =>
      started && String(started.scheduledEventId) === String(asked?.eventId),
  )?.activityTaskStartedEventAttributes?.attempt;
}

/** What the workflow has asked for when it scheduled an activity. */
async function scheduled(handle: Awaited<ReturnType<typeof saga.start>>, step: Step) {
  const { events } = await handle.fetchHistory();
  return events
    ?.map((event) => event.activityTaskScheduledEventAttributes)
    .find((activity) => activity?.activityType?.name === step);
}
