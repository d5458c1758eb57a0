import { historyFromJSON } from '@temporalio/common/lib/proto-utils';
import type { OrderId } from '../../../engine/orders/order';
import { readRunHistory, type RunHistory } from '../../../engine/reconciliation/run-history';
import { restoredEntry } from '../../../engine/reconciliation/restored-entry';
import { readHistory } from '../../replay/history-file';

/** The recorded histories of the real workflow, cut off after some events as a run in mid-course would be. */
function historyOf(name: string, events?: number) {
  const history = historyFromJSON(readHistory(name));
  return readRunHistory((history.events ?? []).slice(0, events));
}

function acceptance(orderId: OrderId, run: RunHistory): RunHistory {
  return { ...run, order: { ...run.order, orderId } };
}

const numberIn = ([, digits]: RegExpMatchArray) => Number(digits);

const eventsUpTo = (name: string, type: string) =>
  readHistory(name).events.findIndex(({ eventType }) => eventType.endsWith(type)) + 1;

describe('the entry that is restored from the history of a run', () => {
  test.each([
    [
      'confirmed',
      {
        state: 'sold',
        generation: 1,
        unresolvedCharges: [],
        paymentId: expect.any(String) as string,
      },
    ],
    ['confirmed-as-sold-already', { state: 'sold', generation: 1, unresolvedCharges: [] }],
    ['confirmed-as-sold-after-all', { state: 'sold', generation: 1, unresolvedCharges: [] }],
    [
      'confirmed-once-an-earlier-generation-is-settled',
      { state: 'sold', generation: 2, unresolvedCharges: [] },
    ],
    ['payment-declined', { state: 'released', reason: 'payment-declined', unresolvedCharges: [] }],
    [
      'payment-unknown',
      { state: 'released', reason: 'payment-unknown', generation: 1, unresolvedCharges: [] },
    ],
    ['sale-lost', { state: 'released', reason: 'sale-lost', unresolvedCharges: [] }],
    [
      'awaiting-payment-and-paid',
      { state: 'sold', unresolvedCharges: [], paymentId: expect.any(String) as string },
    ],
    ['sold-out', { state: 'released', reason: 'sold-out', generation: 0, unresolvedCharges: [] }],
    [
      'at-once-confirmed',
      { state: 'sold', generation: 1, unresolvedCharges: [], fence: expect.any(Number) as number },
    ],
    [
      'at-once-in-doubt-for-ever',
      { state: 'released', reason: 'payment-unknown', unresolvedCharges: [] },
    ],
    ['sold-at-once', { state: 'sold', generation: 1, unresolvedCharges: [] }],
    ['sold-at-once-with-a-charge-in-doubt', { state: 'sold', unresolvedCharges: [] }],
    ['sold-at-once-with-a-sale-in-doubt', { state: 'sold', unresolvedCharges: [] }],
    [
      'sold-at-once-declined',
      { state: 'released', reason: 'payment-declined', generation: 1, unresolvedCharges: [] },
    ],
    [
      'sold-at-once-and-the-sale-is-lost',
      { state: 'released', reason: 'sale-lost', generation: 1, unresolvedCharges: [] },
    ],
    [
      'cancelled-during-the-charge',
      { state: 'released', reason: 'cancelled', unresolvedCharges: [] },
    ],
  ])('%s is as the ledger had it', (name, entry) => {
    expect(restoredEntry([historyOf(name)])).toMatchObject(entry);
  });

  test('has the fence of the step that was refused: an earlier try at it comes too late', () => {
    expect(historyOf('sold-out').fence).toBeGreaterThan(0);
  });

  test.each([
    'with-events-sold-at-once',
    'with-events-and-no-answer-about-the-first',
    'with-events-declined',
    'with-events-cancelled-by-its-buyer',
  ])('%s has the revision under which other systems know it', (name) => {
    const text = JSON.stringify(readHistory(name));
    const data = [...text.matchAll(/"data":"([^"]+)"/g)].map(([, raw = '']) =>
      Buffer.from(raw, 'base64').toString(),
    );
    const told = data.flatMap((one) => [...one.matchAll(/"revision":(\d+)/g)].map(numberIn));
    const entry = restoredEntry([historyOf(name)]);
    expect(entry?.revision).toBe(told.at(-1));
    expect(entry?.finishedAt).toBe(entry?.revision);
  });

  test('has no revision where no step has told it', () => {
    expect(restoredEntry([historyOf('sold-at-once')])?.revision).toBeUndefined();
  });

  test('is none for a run whose id was another request', () => {
    expect(restoredEntry([historyOf('request-id-reused')])).toBeUndefined();
  });

  test('is queued before the run has reserved anything', () => {
    const entry = restoredEntry([historyOf('confirmed', 3)]);
    expect(entry).toMatchObject({
      state: 'queued',
      generation: 0,
      fence: 0,
      unresolvedCharges: [],
      units: 1,
    });
  });

  test.each(['at-once-confirmed', 'sold-at-once'])(
    'owes the generation that a run may have charged at once before it told anything: %s',
    (name) => {
      const begun = historyOf(name, 3);
      expect(restoredEntry([begun])).toMatchObject({
        state: 'queued',
        generation: 1,
        unresolvedCharges: [1],
      });
      expect(restoredEntry([historyOf('payment-declined'), begun])).toMatchObject({
        state: 'released',
        generation: 2,
        unresolvedCharges: [2],
      });
      expect(restoredEntry([begun, historyOf(name)])).toMatchObject({
        state: 'sold',
        generation: 1,
        unresolvedCharges: [],
      });
      const notBegun = historyOf(name, 1);
      expect(restoredEntry([notBegun])).toMatchObject({
        state: 'queued',
        generation: 0,
        unresolvedCharges: [],
      });
    },
  );

  test.each(['parked-and-confirmed', 'sold-at-once-parked-and-confirmed'])(
    'owes nothing for an order that was parked before it reserved anything: %s',
    (name) => {
      const parked = eventsUpTo(name, 'ACTIVITY_TASK_SCHEDULED');
      expect(restoredEntry([historyOf(name, parked)])).toMatchObject({
        state: 'queued',
        generation: 0,
        unresolvedCharges: [],
      });
      expect(restoredEntry([historyOf(name)])).toMatchObject({
        state: 'sold',
        generation: 1,
        unresolvedCharges: [],
      });
    },
  );

  test('owes a generation where a task was lost before the order was parked', () => {
    const events = historyFromJSON(readHistory('parked-and-confirmed')).events ?? [];
    const parked = eventsUpTo('parked-and-confirmed', 'ACTIVITY_TASK_SCHEDULED');
    const lost = { eventTime: null, workflowTaskTimedOutEventAttributes: {} };
    const history = [...events.slice(0, 3), lost, ...events.slice(3, parked)];
    expect(restoredEntry([readRunHistory(history as typeof events)])).toMatchObject({
      state: 'queued',
      generation: 1,
      unresolvedCharges: [1],
    });
  });

  test('owes a generation where the sale at once was timed out before the order was parked', () => {
    const name = 'sold-at-once-parked-and-confirmed';
    const events = historyFromJSON(readHistory(name)).events ?? [];
    const marker = events.findLast(({ markerRecordedEventAttributes: found }) => found?.failure);
    if (!marker?.markerRecordedEventAttributes) throw new Error('the sale at once has no failure');
    const failure = { message: 'timed out', timeoutFailureInfo: {} };
    marker.markerRecordedEventAttributes.failure = { cause: failure };
    const parked = events.slice(0, eventsUpTo(name, 'ACTIVITY_TASK_SCHEDULED'));
    expect(restoredEntry([readRunHistory(parked)])).toMatchObject({
      state: 'queued',
      generation: 1,
      unresolvedCharges: [1],
    });
  });

  test('owes a generation that was parked where its buyer may have opened the payment', () => {
    const name = 'sold-at-once-parked-and-confirmed';
    const events = historyFromJSON(readHistory(name)).events ?? [];
    const [payload] = events[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
    if (!payload) throw new Error('the history has no input');
    const input = JSON.parse(Buffer.from(payload.data ?? []).toString()) as { order: object };
    const ofCheckout = { ...input, order: { ...input.order, payWithinMs: 60_000 } };
    payload.data = Buffer.from(JSON.stringify(ofCheckout));
    const parked = events.slice(0, eventsUpTo(name, 'ACTIVITY_TASK_SCHEDULED'));
    expect(restoredEntry([readRunHistory(parked)])).toMatchObject({
      state: 'queued',
      generation: 1,
      unresolvedCharges: [1],
    });
  });

  test('waits for its payment until the deadline that it had, and then ends as the run did', () => {
    const name = 'awaiting-payment-until-its-deadline';
    const waiting = eventsUpTo(name, 'TIMER_STARTED');
    expect(restoredEntry([historyOf(name, waiting)])).toMatchObject({
      state: 'reserved',
      generation: 1,
      unresolvedCharges: [1],
      payBy: expect.any(Number) as number,
      payWithinMs: expect.any(Number) as number,
    });
    expect(restoredEntry([historyOf(name)])).toMatchObject({
      state: 'released',
      reason: 'payment-deadline',
      unresolvedCharges: [],
    });
  });

  test('is reserved and owed in the middle of a charge, under a fence that later steps pass', () => {
    const whole = readHistory('payment-unknown');
    const charging = eventsUpTo('payment-unknown', 'ACTIVITY_TASK_SCHEDULED');
    const entry = restoredEntry([historyOf('payment-unknown', charging)]);
    expect(entry).toMatchObject({ state: 'reserved', generation: 1, unresolvedCharges: [1] });
    const started = Date.parse(String(whole.events[0]?.['eventTime']));
    expect(entry?.fence).toBeGreaterThanOrEqual(started);
    expect(entry?.fence).toBeLessThanOrEqual(
      Date.parse(String(whole.events[charging - 1]?.['eventTime'])),
    );
  });

  test('owes what was released and not refunded yet', () => {
    const released = readHistory('payment-unknown').events.findIndex(
      (event) => 'activityTaskCompletedEventAttributes' in event,
    );
    const entry = restoredEntry([historyOf('payment-unknown', released + 1)]);
    expect(entry).toMatchObject({ state: 'released', generation: 1, unresolvedCharges: [1] });
  });

  test('keeps the largest generation over all runs, and a sale over whatever came after it', () => {
    const sold = historyOf('confirmed-once-an-earlier-generation-is-settled');
    expect(restoredEntry([sold, historyOf('payment-unknown')])).toMatchObject({
      state: 'sold',
      generation: 2,
    });
    const waiting = historyOf('confirmed', 3);
    expect(restoredEntry([historyOf('payment-unknown'), waiting])).toMatchObject({
      state: 'released',
      generation: 1,
    });
  });

  test('is of one acceptance of its order: charges of another are not its own', () => {
    const [first, second] = ['first' as OrderId, 'second' as OrderId];
    const refunded = acceptance(first, historyOf('payment-unknown'));
    const charging = eventsUpTo('payment-unknown', 'ACTIVITY_TASK_SCHEDULED');
    const inDoubt = acceptance(second, historyOf('payment-unknown', charging));
    const owed = { orderId: second, state: 'reserved', generation: 1, unresolvedCharges: [1] };
    expect(restoredEntry([refunded, inDoubt])).toMatchObject(owed);
    const sold = acceptance(first, historyOf('confirmed'));
    expect(restoredEntry([sold, inDoubt])).toMatchObject({
      orderId: first,
      state: 'sold',
      unresolvedCharges: [],
    });
  });

  test('has the charge in doubt of a run that was not told its order', () => {
    const told = acceptance('told' as OrderId, historyOf('payment-declined'));
    const untold = acceptance('of-its-record' as OrderId, historyOf('at-once-confirmed', 3));
    expect(restoredEntry([told, untold])).toMatchObject({
      orderId: 'told',
      state: 'released',
      generation: 2,
      unresolvedCharges: [2],
    });
  });
});
