import { UnavailableError } from '../../engine/kafka/consumer';
import type { Order, OrderId } from '../../engine/orders/order';
import { encodeOrder } from '../../engine/orders/order-record';
import { anOrder, aPurchase } from '../support/purchases';
import { createTestIngest, orderRecord, recordOf } from './fakes';

describe('an order record', () => {
  test('becomes one workflow that knows its place in the log', async () => {
    const { temporal, handle, outcomes, claims } = createTestIngest();
    const order = anOrder();
    const record = orderRecord(order);
    await handle(record);
    expect(claims).toEqual([`${order.requestId} ${order.itemId} ${order.fingerprint}`]);
    const source = { topic: 'orders', partition: 2, offset: record.offset };
    expect([...temporal.workflows.values()]).toEqual([{ order, source }]);
    expect(outcomes).toEqual(['started']);
  });

  test('keeps its text only where the engine would have written another', async () => {
    const { temporal, handle } = createTestIngest();
    const order = anOrder();
    const text = encodeOrder(order).toString().replace('{', '{ "note": "by hand", ');
    await handle(recordOf(Buffer.from(text)));
    expect(temporal.workflows.get(order.requestId)).toMatchObject({ order, original: text });
  });

  test('that is repeated is finished without a second workflow or a letter', async () => {
    const { temporal, handle, outcomes, letters, givenBack, claims } = createTestIngest();
    const order = anOrder();
    await handle(orderRecord(order));
    await handle(orderRecord(order));
    expect(temporal.workflows.size).toBe(1);
    expect(claims).toHaveLength(2);
    expect(outcomes).toEqual(['started', 'repeated']);
    expect([letters, givenBack]).toEqual([[], []]);
  });

  test('under the id of a forgotten order is started if the ledger has it queued, and once', async () => {
    const { temporal, handle, outcomes, letters, awaiting } = createTestIngest();
    const [earlier, later, unknown] = ['a.1', 'b.1', 'c.1'].map((id): Order => {
      return { ...anOrder(aPurchase({ requestId: 'used' })), orderId: id as OrderId };
    });
    if (!earlier || !later || !unknown) throw new Error('three orders');
    awaiting.add(later.orderId);
    await handle(orderRecord(earlier));
    await handle(orderRecord(later));
    expect(temporal.workflows.get(earlier.requestId)?.order).toEqual(earlier);
    temporal.closed.add(earlier.requestId);
    await handle(orderRecord(unknown));
    await handle(orderRecord(later));
    expect(temporal.workflows.get(earlier.requestId)?.order).toEqual(later);
    await handle(orderRecord(later));
    expect(outcomes).toEqual(['started', 'repeated', 'repeated', 'started', 'repeated']);
    expect(letters).toEqual([]);
  });

  test('with the id of another order becomes a dead letter, and its units are given back', async () => {
    const { temporal, handle, outcomes, letters, givenBack, published, claims } =
      createTestIngest();
    const first = anOrder();
    const other = anOrder(aPurchase({ requestId: first.requestId, itemId: '202', amount: 3 }));
    await handle(orderRecord(first));
    const record = orderRecord(other);
    await handle(record);
    expect(temporal.workflows.get(first.requestId)?.order).toEqual(first);
    expect(letters).toHaveLength(1);
    expect(letters[0]).toMatchObject({
      id: `orders:2:${record.offset}`,
      reason: 'request-id-reused',
      requestId: first.requestId,
      itemId: '202',
      generation: 0,
      value: record.value,
    });
    expect(givenBack).toEqual([`${first.requestId} 202 ${other.fingerprint} request-id-reused`]);
    expect(published).toEqual([other.requestId]);
    expect(outcomes.at(-1)).toBe('request-id-reused');
    expect(claims).toEqual([`${first.requestId} ${first.itemId} ${first.fingerprint}`]);
  });
});

describe('an invalid record', () => {
  test('becomes a dead letter with its bytes and the problem, and the next record is started', async () => {
    const { temporal, handle, letters, outcomes } = createTestIngest();
    const invalid = recordOf(Buffer.from('{"v":1,"request_id":"req-9"'));
    const good = anOrder();
    await handle(invalid, orderRecord(good));
    expect(letters).toHaveLength(1);
    expect(letters[0]).toMatchObject({ reason: 'invalid-record', value: invalid.value });
    expect(letters[0]?.error).toContain('not JSON');
    expect([...temporal.workflows.keys()]).toEqual([good.requestId]);
    expect(outcomes.sort()).toEqual(['invalid-record', 'started']);
  });

  test('is not finished before its dead letter is acknowledged', async () => {
    let away = true;
    const { handle, outcomes } = createTestIngest({
      deadLetters: {
        write: () => (away ? Promise.reject(new Error('queue full')) : Promise.resolve()),
      },
    });
    const invalid = recordOf(null);
    await expect(handle(invalid)).rejects.toBeInstanceOf(UnavailableError);
    expect(outcomes).toEqual([]);
    away = false;
    await handle(invalid);
    expect(outcomes).toEqual(['invalid-record']);
  });
});

describe('while a dependency is away', () => {
  test('an order is not finished, becomes no dead letter, and is started when it is given again', async () => {
    const { temporal, handle, letters, outcomes, claims } = createTestIngest();
    const record = orderRecord(anOrder());
    temporal.errors.push(new UnavailableError('RESOURCE_EXHAUSTED'));
    await expect(handle(record)).rejects.toBeInstanceOf(UnavailableError);
    expect([outcomes, claims]).toEqual([[], []]);
    await handle(record);
    expect(outcomes).toEqual(['started']);
    expect(letters).toEqual([]);
  });

  test('a ledger that does not answer keeps the record unfinished', async () => {
    const { handle, outcomes } = createTestIngest({
      ledger: {
        abandon: () => Promise.reject(new Error('Command timed out')),
        awaitsRun: () => Promise.resolve(false),
      },
    });
    const first = anOrder();
    const other = anOrder(aPurchase({ requestId: first.requestId, amount: 2 }));
    await handle(orderRecord(first));
    await expect(handle(orderRecord(other))).rejects.toBeInstanceOf(UnavailableError);
    expect(outcomes).toEqual(['started']);
  });
});

test.each(['NOLEDGER the ledger is not open', 'BADSTOCK must be a whole number of units'])(
  'a ledger that cannot be read (%s) does not hold up the partition of a refused record',
  async (problem) => {
    const { handle, outcomes, letters } = createTestIngest({
      ledger: {
        abandon: () => Promise.reject(new Error(problem)),
        awaitsRun: () => Promise.resolve(false),
      },
    });
    const first = anOrder();
    const other = anOrder(aPurchase({ requestId: first.requestId, amount: 2 }));
    await handle(orderRecord(first), orderRecord(other));
    expect(outcomes).toEqual(['started', 'request-id-reused']);
    expect(letters).toHaveLength(1);
  },
);

describe('the queue of a record', () => {
  test('is its item, so that items take turns', () => {
    const { handler } = createTestIngest();
    expect(handler.queueOf(orderRecord(anOrder(aPurchase({ itemId: '202' }))))).toBe('202');
  });

  test('is one of its own for records that are no orders, which wait for no open order to end', () => {
    const full = { enter: () => false, leave: () => undefined };
    const { handler } = createTestIngest({ openOrders: full });
    const poison = handler.queueOf(recordOf(Buffer.from('poison')));
    expect(poison).toBe('');
    expect(handler.admit(poison)).toBe(true);
    expect(handler.admit('202')).toBe(false);
  });
});

describe('the place among the open orders', () => {
  test('is kept by an order that was started, and left by any other', async () => {
    const left: string[] = [];
    const leave = (itemId: string, opened: boolean) => left.push(`${itemId} ${opened}`);
    const { temporal, handle } = createTestIngest({
      openOrders: { enter: () => true, leave },
    });
    const record = orderRecord(anOrder(aPurchase({ itemId: '202' })));
    temporal.errors.push(new UnavailableError('Temporal is away'));
    await expect(handle(record)).rejects.toThrow();
    await handle(record, record);
    expect(left).toEqual(['202 false', '202 true', '202 false']);
  });
});
