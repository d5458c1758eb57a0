import type { Order } from '../../engine/orders/order';
import { eventually } from '../support/eventually';
import { heldUp, noAnswer } from '../support/held-up';
import { failureOf, useSaga } from '../support/saga';

const saga = useSaga();

const toldOf = (order: Order) => saga.eventsOf(order).map(({ status, reason }) => reason ?? status);

async function isDeclined(order: Order): Promise<void> {
  saga.money.declineIf((key) => key === `${order.requestId}:${order.orderId}:1`);
  expect(await failureOf(await saga.start(order))).toBe('payment-declined');
}

describe('other systems are told', () => {
  test('of a sale, as the ledger has it', async () => {
    const order = await saga.aQueuedOrder();
    await (await saga.start(order)).result();
    const entry = await saga.entryOf(order);
    const { requestId, orderId, itemId, userId, amount, priceMinor, currency } = order;
    const told = { requestId, orderId, itemId, userId, amount, priceMinor, currency };
    expect(saga.eventsOf(order)).toEqual([
      {
        order: { ...told, acceptedAt: entry?.acceptedAt },
        revision: entry?.revision,
        at: entry?.finishedAt,
        status: 'confirmed',
        paymentId: entry?.paymentId,
        generation: 1,
      },
    ]);
  });

  test('of an order whose payment is declined', async () => {
    const order = await saga.aQueuedOrder();
    await isDeclined(order);
    expect(saga.eventsOf(order)).toMatchObject([
      { status: 'failed', reason: 'payment-declined', generation: 1 },
    ]);
  });

  test('of an order that finds no unit', async () => {
    const order = await saga.aQueuedOrder();
    await saga.ledger.release({ order, fence: 1, reason: 'sale-lost' });
    await saga.setFree(order, 0);
    expect(await failureOf(await saga.start(order, 'REJECT_DUPLICATE'))).toBe('sold-out');
    expect(toldOf(order)).toEqual(['sold-out']);
  });

  test('of an order that its buyer has cancelled', async () => {
    const order = await saga.aQueuedOrder();
    await saga.ledger.cancel(order);
    await (await saga.start(order)).result();
    expect(toldOf(order)).toEqual(['cancelled']);
  });

  test('of an order whose run is cancelled before its charge', async () => {
    const { order, handle, letGo } = await heldUp(saga, 'before', 'reserveStock', (_, order) => {
      saga.onStep(order, 'before', 'reserveStock', noAnswer);
    });
    await handle.cancel();
    letGo();
    await eventually('the run ends', async () => (await handle.describe()).closeTime);
    expect(toldOf(order)).toEqual(['cancelled']);
  });

  test('of a failure and of the sale after it, each with a larger revision', async () => {
    const order = await saga.aQueuedOrder();
    await isDeclined(order);
    await (await saga.start(order, 'ALLOW_DUPLICATE_FAILED_ONLY')).result();
    expect(toldOf(order)).toEqual(['payment-declined', 'confirmed']);
  });

  test('of a sale that is reset again under the same id', async () => {
    const order = await saga.aQueuedOrder();
    await (await saga.start(order)).result();
    const first = saga.eventsOf(order);
    await (await saga.reset(order)).result();
    expect(saga.eventsOf(order)).toEqual(first);
  });
});

describe('while events cannot be written', () => {
  test('a sale stands, and is told of later', async () => {
    const order = await saga.aQueuedOrder();
    saga.onStep(order, 'before', 'publishOutcome', noAnswer, () => {
      throw new Error('Kafka is away');
    });
    const { letGo, reached } = holdsUp(order);
    const handle = await saga.start(order);
    await reached;
    expect(await saga.entryOf(order)).toMatchObject({ state: 'sold', unresolvedCharges: [] });
    expect(saga.eventsOf(order)).toEqual([]);
    letGo();
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed' });
    expect(toldOf(order)).toEqual(['confirmed']);
  });

  test('a failed order has given everything back, and has its letter', async () => {
    const order = await saga.aQueuedOrder();
    saga.money.declineIf((key) => key === `${order.requestId}:${order.orderId}:1`);
    saga.onStep(order, 'before', 'publishOutcome', noAnswer);
    const { letGo, reached } = holdsUp(order);
    const handle = await saga.start(order);
    await reached;
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, reserved: 0 });
    expect(saga.lettersOf(order)).toHaveLength(1);
    letGo();
    expect(await failureOf(handle)).toBe('payment-declined');
    expect(toldOf(order)).toEqual(['payment-declined']);
  });
});

test('what an earlier run could not tell, a late repetition of its record does', async () => {
  const order = await saga.aQueuedOrder();
  await saga.ledger.reserve(order, 1);
  await saga.ledger.release({ order, fence: 2, reason: 'payment-declined', declined: 1 });
  const source = { topic: 'orders', partition: 0, offset: '0' };
  const handle = await saga.start(order, 'REJECT_DUPLICATE', {
    source,
    parking: true,
    events: true,
  });
  expect(await failureOf(handle)).toBe('payment-declined');
  expect(toldOf(order)).toEqual(['payment-declined']);
});

test('a run of another request tells nothing', async () => {
  const order = await saga.aQueuedOrder();
  const other = { ...order, fingerprint: 'another-fingerprint-of' };
  expect(await failureOf(await saga.start(other))).toBe('request-id-reused');
  expect(saga.eventsOf(order)).toEqual([]);
});

test('an order older than events ends as it would have', async () => {
  const order = await saga.aQueuedOrder();
  saga.money.declineIf((key) => key === `${order.requestId}:${order.orderId}:1`);
  const handle = await saga.start(order, 'REJECT_DUPLICATE', {
    firstCharge: 'at-once',
    parking: true,
  });
  expect(await failureOf(handle)).toBe('payment-declined');
  expect(saga.eventsOf(order)).toEqual([]);
});

/** The order's next call of the step after those that are planned waits until `letGo`. */
function holdsUp(order: Order) {
  let letGo: () => void = () => undefined;
  const goOn = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    saga.onStep(order, 'before', 'publishOutcome', () => {
      resolve();
      return goOn;
    });
  });
  return { letGo, reached };
}
