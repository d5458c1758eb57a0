import { createSellAtOnce } from '../../activities/sell-at-once';
import { anOrder, aPurchase } from '../support/purchases';

const order = anOrder(aPurchase());
const step = { order, fence: 1, start: 'first', runId: 'run' } as const;

function selling(steps: Record<string, unknown>) {
  const sold: string[] = [];
  const activity = createSellAtOnce(
    {
      reserveStock: () => Promise.resolve({ kind: 'reserved', generation: 1, owed: [] }),
      chargePayment: () => Promise.resolve({ kind: 'charged', paymentId: 'p1' }),
      confirmSale: () => Promise.resolve({ kind: 'sold' }),
      publishOutcome: () => Promise.resolve(),
      ...steps,
    } as never,
    (itemId) => sold.push(itemId),
  );
  return { sold, sell: () => activity.sellAtOnce(step) };
}

describe('an order that is sold in one step', () => {
  test('is told', async () => {
    const { sold, sell } = selling({});
    await sell();
    expect(sold).toEqual([order.itemId]);
  });

  test.each([
    ['was lost', { confirmSale: () => Promise.resolve({ kind: 'lost' }) }],
    ['has no answer', { confirmSale: () => Promise.reject(new Error('Redis is away')) }],
    ['is declined', { chargePayment: () => Promise.resolve({ kind: 'declined', code: 'no' }) }],
    ['has no event', { publishOutcome: () => Promise.reject(new Error('Kafka is away')) }],
    ['was sold before', { reserveStock: () => Promise.resolve({ kind: 'sold', owed: [] }) }],
  ])('is not told where it %s', async (_, steps) => {
    const { sold, sell } = selling(steps);
    await sell();
    expect(sold).toEqual([]);
  });
});
