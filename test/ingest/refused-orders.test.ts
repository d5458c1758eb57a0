import { pino } from 'pino';
import { createRefusedOrders } from '../../ingest/refused-orders';
import { eventually } from '../support/eventually';
import { anOrder, aPurchase } from '../support/purchases';
import { createTestIngest, orderRecord } from './fakes';

/** Refused orders over a topic that takes events while it is not ill. */
function createTestRefused({ retryEveryMs }: { retryEveryMs: number }) {
  const topic = { isIll: true, tries: 0 };
  const told: string[] = [];
  const errors: object[] = [];
  const logger = pino(
    { level: 'error' },
    { write: (line: string) => errors.push(JSON.parse(line) as object) },
  );
  const publish = ({ requestId }: { requestId: string }) => {
    topic.tries += 1;
    if (topic.isIll) return Promise.reject(new Error('Kafka takes no events'));
    told.push(requestId);
    return Promise.resolve();
  };
  const refused = createRefusedOrders({ outcomes: { publish }, logger, retryEveryMs });
  return { refused, topic, told, errors };
}
const NEVER_MS = 1_000_000;

describe('a refused order whose end cannot be told', () => {
  test('is finished: its letter tells of it, once', async () => {
    const { refused } = createTestRefused({ retryEveryMs: NEVER_MS });
    const { handle, letters, givenBack, outcomes } = createTestIngest({ refused });
    const first = anOrder();
    const other = anOrder(aPurchase({ requestId: first.requestId, itemId: '202', amount: 3 }));
    await handle(orderRecord(first), orderRecord(other));
    expect(outcomes.at(-1)).toBe('request-id-reused');
    expect([letters.length, givenBack.length]).toEqual([1, 1]);
    await refused.stop();
  });

  test('is told of once the topic takes events again, and no other before it', async () => {
    const { refused, topic, told, errors } = createTestRefused({ retryEveryMs: 1 });
    const [one, other] = ['req-1', 'req-2'].map((requestId) => anOrder(aPurchase({ requestId })));
    if (!one || !other) throw new Error('no orders');
    await refused.tell(one);
    await refused.tell(other);
    await eventually('both were tried again', () => topic.tries > 4);
    topic.isIll = false;
    await eventually('both are told', () => told.length === 2);
    await refused.stop();
    expect(told).toEqual(['req-1', 'req-2']);
    expect(errors).toEqual([]);
  });

  test('is tried once more when the process stops, which says what it has not told', async () => {
    const { refused, topic, told, errors } = createTestRefused({ retryEveryMs: NEVER_MS });
    await refused.tell(anOrder(aPurchase({ requestId: 'req-1' })));
    topic.isIll = false;
    await refused.stop();
    expect(told).toEqual(['req-1']);
    const ill = createTestRefused({ retryEveryMs: NEVER_MS });
    await ill.refused.tell(anOrder(aPurchase({ requestId: 'req-2' })));
    await ill.refused.stop();
    expect(errors).toEqual([]);
    expect(ill.errors).toMatchObject([
      { requestId: 'req-2', msg: 'the end of a refused order is not told' },
    ]);
  });
});
