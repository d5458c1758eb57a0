import { register } from 'prom-client';
import { createOutcomePublisher } from '../../../engine/kafka/outcome-publisher';
import { NotAppendedError } from '../../../engine/kafka/safe-producer';
import type { LedgerEntry } from '../../../engine/orders/ledger';
import type { OrderId } from '../../../engine/orders/order';
import { anOrder } from '../../support/purchases';

const order = anOrder();
const entry: LedgerEntry = {
  orderId: 'order-1' as OrderId,
  state: 'sold',
  units: 1,
  userId: order.userId,
  fingerprint: order.fingerprint,
  generation: 1,
  fence: 1,
  unresolvedCharges: [],
  priceMinor: 1000,
  currency: 'USD',
  acceptedAt: 1,
  finishedAt: 2,
  revision: 2,
  timeline: [],
};

function publishing(append: () => Promise<unknown>) {
  let appends = 0;
  const publisher = createOutcomePublisher(
    { findOrder: () => Promise.resolve({ itemId: order.itemId, entry }) },
    {
      append: async () => {
        appends += 1;
        await append();
        return { partition: 0, offset: '0' };
      },
    },
  );
  return { publish: () => publisher.publish(order), appends: () => appends };
}

describe('while an event waits for Kafka for longer than a hiccup', () => {
  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  test('the others fail at once, and go on when it is written', async () => {
    let answer: () => void = () => undefined;
    const { publish, appends } = publishing(
      () =>
        new Promise<void>((resolve) => {
          answer = resolve;
        }),
    );
    const first = publish();
    await jest.advanceTimersByTimeAsync(1_001);
    await expect(publish()).rejects.toThrow(NotAppendedError);
    expect(appends()).toBe(1);
    answer();
    await first;
    const next = publish();
    await jest.advanceTimersByTimeAsync(0);
    expect(appends()).toBe(2);
    answer();
    await next;
  });

  test('the others go on when it has failed', async () => {
    let fail: (error: Error) => void = () => undefined;
    const { publish, appends } = publishing(
      () =>
        new Promise<void>((_, reject) => {
          fail = reject;
        }),
    );
    const first = publish();
    const failed = expect(first).rejects.toThrow('withdrawn');
    await jest.advanceTimersByTimeAsync(1_001);
    fail(new NotAppendedError('withdrawn'));
    await failed;
    const next = publish();
    await jest.advanceTimersByTimeAsync(0);
    expect(appends()).toBe(2);
    fail(new NotAppendedError('again'));
    await expect(next).rejects.toThrow('again');
  });
});

test('refunds and disputes are counted from nought, so that an alert sees the first of them', async () => {
  createOutcomePublisher(
    { findOrder: () => Promise.resolve(undefined) },
    { append: () => Promise.reject(new Error('nothing is told')) },
  );
  const { values = [] } = (await register.getSingleMetric('flash_sale_returns_total')?.get()) ?? {};
  expect(values.map(({ labels, value }) => [labels['kind'], labels['status'], value])).toEqual(
    expect.arrayContaining([
      ['refund', 'failed', 0],
      ['dispute', 'open', 0],
    ]),
  );
});
