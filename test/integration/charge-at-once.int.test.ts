import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { stepsOf, type History } from '../replay/history-file';
import { capturedOf, heldUp, isChargedInDoubt, noAnswer } from '../support/held-up';
import { aSignal, failureOf, useSaga, workflowTasksOf, type OrderHandle } from '../support/saga';

const saga = useSaga();
const { money, aQueuedOrder, start } = saga;

async function historyOf(handle: OrderHandle): Promise<History> {
  return JSON.parse(historyToJSON(await handle.fetchHistory())) as History;
}

const regularActivities = ({ events }: History) =>
  events.filter(({ eventType }) => eventType === 'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED').length;

/** What the provider is asked next, two calls at most. */
function callsOf(): string[] {
  const calls: string[] = [];
  const note = (verb: string) => void calls.push(verb);
  money.faultNext(note, note);
  return calls;
}

describe('an order whose first charge is made at once', () => {
  test('is confirmed within one workflow task', async () => {
    const order = await aQueuedOrder();
    const handle = await start(order);
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    const history = await historyOf(handle);
    expect(stepsOf(history)).toEqual(['sellAtOnce']);
    expect(regularActivities(history)).toBe(0);
    expect(await workflowTasksOf(handle)).toHaveLength(1);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });

  test('gave each step its own fence, even within one task, while they were steps of their own', async () => {
    const order = await aQueuedOrder();
    const fences: number[] = [];
    const note = async () => {
      fences.push((await saga.entryOf(order))?.fence ?? 0);
    };
    saga.onStep(order, 'after', 'reserveStock', note);
    saga.onStep(order, 'before', 'chargePayment', () => new Promise((go) => setTimeout(go, 20)));
    saga.onStep(order, 'after', 'confirmSale', note);
    const input = { firstCharge: 'local', parking: true } as const;
    await (await start(order, 'REJECT_DUPLICATE', input)).result();
    const [reserve = 0, confirm = 0] = fences;
    expect(confirm).toBeGreaterThan(reserve);
  });

  test('is failed when it is declined, without a second charge', async () => {
    const order = await aQueuedOrder();
    money.declineIf((key) => key.startsWith(`${order.requestId}:`));
    const handle = await start(order);
    expect(await failureOf(handle)).toBe('payment-declined');
    expect(stepsOf(await historyOf(handle))).toEqual([
      'sellAtOnce',
      'releaseStock',
      'deadLetter',
      'publishOutcome',
    ]);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'declined' });
  });

  test('is charged once when the answer of that charge is lost', async () => {
    const order = await aQueuedOrder();
    isChargedInDoubt(saga, order);
    const calls = callsOf();
    const handle = await start(order);
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed' });
    expect(calls).toEqual(['charge', 'find']);
    expect(regularActivities(await historyOf(handle))).toBe(1);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });

  test('is not charged by an attempt that learns of its reservation too late', async () => {
    const order = await aQueuedOrder();
    const calls = callsOf();
    saga.onStep(order, 'after', 'reserveStock', () => new Promise((go) => setTimeout(go, 2_500)));
    const handle = await start(order);
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    expect(calls).toEqual(['find', 'charge']);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });

  test('is confirmed when the answer of its sale is lost', async () => {
    const order = await aQueuedOrder();
    saga.onStep(order, 'after', 'confirmSale', noAnswer);
    const handle = await start(order);
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    expect(stepsOf(await historyOf(handle))).toEqual([
      'sellAtOnce',
      'confirmSale',
      'publishOutcome',
    ]);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });

  test('waits a few seconds for its charge, and a late answer changes nothing', async () => {
    const { order, handle, letGo } = await heldUp(saga, 'after', 'chargePayment');
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    letGo();
    expect(regularActivities(await historyOf(handle))).toBe(1);
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
  });

  test('is charged at once only by the run that opened its generation: the next one looks first', async () => {
    const order = await aQueuedOrder();
    const calls: string[] = [];
    const [charged, goOn] = [aSignal(), aSignal()];
    money.faultNext(
      (verb) => {
        calls.push(verb);
        charged.give();
        return goOn.given;
      },
      (verb) => void calls.push(verb),
    );
    const lost = await start(order);
    await charged.given;
    await lost.terminate('in place of a worker that dies');
    const again = await start(order, 'ALLOW_DUPLICATE_FAILED_ONLY');
    expect(await again.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    goOn.give();
    expect(calls).toEqual(['charge', 'find']);
    expect(capturedOf(saga, order)).toBe(1);
  });

  test('can be cancelled while its charge is in doubt, and the money goes back', async () => {
    const { order, handle, letGo } = await heldUp(saga, 'after', 'chargePayment', isChargedInDoubt);
    await handle.cancel();
    expect(await failureOf(handle)).toBe('CancelledFailure');
    letGo();
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'refunded' });
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
  });
});
