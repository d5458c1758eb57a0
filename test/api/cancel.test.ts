import { setTimeout as sleep } from 'node:timers/promises';
import type { CancelWorkflow } from '../../api/routes/cancel-order';
import { NotAppendedError } from '../../engine/kafka/safe-producer';
import { decodeCancellation } from '../../engine/orders/cancellation-record';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { RequestId } from '../../engine/orders/order';
import { buy, ITEM, openGateway, reply, until, type OpenGateway } from './open-gateway';

let open: OpenGateway;
let asked: string[];
/** What Temporal does when it is asked to cancel req-1. */
let temporal: () => Promise<void>;

const cancelWorkflow: CancelWorkflow = (requestId) => {
  asked.push(requestId);
  return temporal();
};

beforeEach(async () => {
  asked = [];
  temporal = () => Promise.resolve();
  open = await openGateway({
    units: 5,
    change: () => ({ cancelWorkflow, limits: { cancelWaitMs: 200 } }),
  });
});
afterEach(() => open.close());

const del = async (target: string, init: RequestInit = {}, gateway = open) =>
  reply(await fetch(gateway.url + target, { method: 'DELETE', ...init }));
const cancel = (gateway = open) => del('/orders/req-1?user_id=u1', {}, gateway);
const free = async () => (await open.stock.ledger.item(ITEM))?.counts.free;
/** A Temporal whose workflow is faster than its answer. */
const turnsItInto = (change: Partial<LedgerEntry>) => () => {
  open.stock.force('req-1', change);
  return Promise.resolve();
};
const aReserved = async () => {
  await buy(open);
  open.stock.force('req-1', { state: 'reserved', generation: 1 });
};

describe('DELETE /orders/<request_id>', () => {
  test('cancels a queued order at once, without Temporal, and repeats its response', async () => {
    await buy(open, { amount: 2 });
    const first = await cancel();
    expect(first.status).toBe(200);
    expect(first.headers.get('cache-control')).toBe('no-store');
    expect(first.body).toMatchObject({
      request_id: 'req-1',
      status: 'cancelled',
      reason: null,
      payment_id: null,
      finished_at: expect.any(String) as string,
    });
    expect(await cancel()).toMatchObject({ status: 200, body: first.body });
    expect(await free()).toBe(5);
    expect(asked).toEqual([]);
  });

  test('cancels a reserved order through Temporal and responds once its units are released', async () => {
    await aReserved();
    temporal = () => {
      setTimeout(() => {
        open.stock.force('req-1', { state: 'released', reason: 'cancelled' });
      }, 30);
      return Promise.resolve();
    };
    const { status, body } = await cancel();
    expect(asked).toEqual(['req-1']);
    expect([status, body['status']]).toEqual([200, 'cancelled']);
  });

  test.each([
    ['confirmed', { state: 'sold', paymentId: 'p' }, null],
    ['failed', { state: 'released', reason: 'payment-declined' }, 'payment-declined'],
  ] as const)('is too late for an order that is %s', async (reason, change, why) => {
    await buy(open);
    open.stock.force('req-1', change);
    const before = open.stock.snapshot();
    const { status, body } = await cancel();
    expect(status).toBe(409);
    expect(body).toMatchObject({
      type: '/problems/too-late-to-cancel',
      request_id: 'req-1',
      reason,
      order: { status: reason, reason: why },
    });
    expect(asked).toEqual([]);
    expect(open.stock.snapshot()).toBe(before);
  });

  test('is too late when the charge is faster than Temporal', async () => {
    await aReserved();
    temporal = turnsItInto({ state: 'sold' });
    expect(await cancel()).toMatchObject({ status: 409, body: { reason: 'confirmed' } });
  });

  test('responds with 202 and Retry-After when nothing is decided in time', async () => {
    await aReserved();
    const { status, headers, body } = await cancel();
    expect([status, headers.get('retry-after')]).toEqual([202, '1']);
    expect(body).toMatchObject({ request_id: 'req-1', status: 'reserved' });
    expect(await cancel()).toMatchObject({ status: 202 });
    expect(asked).toEqual(['req-1', 'req-1']);
  });

  test('does not wait when the gateway is closing', async () => {
    await aReserved();
    const patient = await openGateway({
      change: () => ({
        ledger: open.stock.ledger,
        cancelWorkflow,
        limits: { cancelWaitMs: 60_000 },
      }),
    });
    const answer = cancel(patient);
    await until(() => asked.length === 1);
    await patient.gateway.drain();
    expect(await answer).toMatchObject({ status: 202 });
    await patient.close();
  });

  test('is refused to other users than the buyer', async () => {
    await buy(open);
    const before = open.stock.snapshot();
    const { status, body } = await del('/orders/req-1?user_id=u2');
    expect([status, body['type']]).toEqual([403, '/problems/not-the-buyer']);
    expect(JSON.stringify(body)).not.toContain('u1');
    expect(open.stock.snapshot()).toBe(before);
  });

  test('knows no order that is only held, because it is not accepted yet', async () => {
    open.publisher.next = 'wait';
    const answer = buy(open);
    await until(() => open.publisher.records.length === 1);
    expect(await cancel()).toMatchObject({
      status: 404,
      body: { type: '/problems/unknown-order' },
    });
    open.publisher.acknowledge();
    expect((await answer).status).toBe(202);
  });
});

describe('DELETE /orders/<request_id> and the log of cancellations', () => {
  const recorded = () => open.cancellations.records.map(({ value }) => decodeCancellation(value));

  test('responds 200 only once Kafka has the cancellation', async () => {
    await buy(open);
    open.cancellations.next = 'wait';
    let isAnswered = false;
    const answer = cancel().finally(() => {
      isAnswered = true;
    });
    await until(() => open.cancellations.records.length === 1);
    await sleep(30);
    expect(isAnswered).toBe(false);
    open.cancellations.acknowledge();
    expect(await answer).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect(open.cancellations.records[0]?.key).toBe('req-1');
    expect(recorded()).toMatchObject([
      { order: { requestId: 'req-1', itemId: ITEM, userId: 'u1', amount: 1 }, generation: 0 },
    ]);
  });

  test('appends it again with every repetition, in the same bytes', async () => {
    await buy(open);
    await cancel();
    await cancel();
    const [first, second] = open.cancellations.records;
    expect(second).toEqual(first);
    expect(first).toBeDefined();
  });

  test('appends it for a reserved order once its run has given it up, and not before', async () => {
    await aReserved();
    expect(await cancel()).toMatchObject({ status: 202 });
    expect(recorded()).toEqual([]);
    temporal = turnsItInto({ state: 'released', reason: 'cancelled', unresolvedCharges: [1] });
    expect(await cancel()).toMatchObject({ status: 200 });
    expect(recorded()).toMatchObject([{ generation: 1, unresolvedCharges: [1] }]);
  });

  test.each([
    ['sold', { state: 'sold' }],
    ['failed', { state: 'released', reason: 'payment-declined' }],
  ] as const)('appends nothing for an order that is %s', async (_, change) => {
    await buy(open);
    open.stock.force('req-1', change);
    expect((await cancel()).status).toBe(409);
    expect(recorded()).toEqual([]);
  });

  test.each([
    ['does not acknowledge it in time', 'wait'],
    ['refuses it', new NotAppendedError('full')],
  ] as const)('responds 503 when Kafka %s, and the order stays cancelled', async (_, next) => {
    const impatient = await openGateway({ change: () => ({ limits: { appendDeadlineMs: 50 } }) });
    await buy(impatient);
    impatient.cancellations.next = next;
    expect(await cancel(impatient)).toMatchObject({
      status: 503,
      body: { type: '/problems/outcome-unknown', request_id: 'req-1' },
    });
    expect((await impatient.stock.ledger.item(ITEM))?.counts.free).toBe(10);
    impatient.cancellations.next = 'acknowledge';
    expect(await cancel(impatient)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    await impatient.close();
  });
});

test('a cancellation whose ledger was lost and rebuilt before Kafka had it is made again before the 200', async () => {
  let isRebuilt = false;
  const gateway = await openGateway({
    change: ({ stock }) => ({
      ledger: {
        ...stock.ledger,
        cancel: async (order) => {
          const result = await stock.ledger.cancel(order);
          // The rebuild has read the log, which has no cancellation yet.
          if (!isRebuilt) stock.force('req-1', { state: 'queued' });
          isRebuilt = true;
          return result;
        },
      },
    }),
  });
  await buy(gateway);
  expect(await cancel(gateway)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  const found = await gateway.stock.ledger.findOrder('req-1' as RequestId);
  expect(found?.entry.state).toBe('released');
  await gateway.close();
});

describe('DELETE /orders/<request_id> with a dependency away', () => {
  const unknown = {
    status: 503,
    body: { type: '/problems/outcome-unknown', request_id: 'req-1' },
  };

  test('answers 503 while Temporal gives no answer, and can be repeated', async () => {
    await aReserved();
    temporal = () => Promise.reject(new Error('away'));
    const answer = await cancel();
    expect(answer).toMatchObject(unknown);
    expect(answer.headers.get('retry-after')).toMatch(/^[123]$/);
    await until(() => open.logged.some(({ msg }) => msg === 'a cancellation got no answer'));
    temporal = turnsItInto({ state: 'released', reason: 'cancelled' });
    expect(await cancel()).toMatchObject({ status: 200 });
  });

  test('without Temporal cancels queued orders and no others', async () => {
    const alone = await openGateway();
    await buy(alone);
    await buy(alone, { request_id: 'req-2' });
    alone.stock.force('req-1', { state: 'reserved' });
    expect(await cancel(alone)).toMatchObject(unknown);
    expect(await del('/orders/req-2?user_id=u1', {}, alone)).toMatchObject({ status: 200 });
    await alone.close();
  });

  test.each(['findOrder', 'cancel'] as const)('answers 503 when %s fails', async (call) => {
    const broken = await openGateway({
      change: ({ stock }) => ({
        ledger: { ...stock.ledger, [call]: () => Promise.reject(new Error('gone')) },
      }),
    });
    await buy(broken);
    expect(await cancel(broken)).toMatchObject(unknown);
    await broken.close();
  });
});

describe('DELETE /orders/<request_id> finds invalid', () => {
  const INVALID = { status: 400, body: { type: '/problems/invalid-request', request_id: 'req-1' } };
  const expectUntouched = async (answer: ReturnType<typeof del>, expected: object) => {
    await buy(open);
    const before = open.stock.snapshot();
    expect(await answer).toMatchObject(expected);
    expect(open.stock.snapshot()).toBe(before);
  };

  test.each([
    ['no query', ''],
    ['no user', '?user_id='],
    ['a user that cannot be one', '?user_id=%7Bu1%7D'],
    ['a user that is too long', `?user_id=${'u'.repeat(129)}`],
    ['two users', '?user_id=u1&user_id=u1'],
    ['another parameter', '?user_id=u1&force=true'],
    ['another parameter alone', '?user=u1'],
    ['a broken escape', '?user_id=%zz'],
  ])('%s', async (_, query) => {
    await expectUntouched(del(`/orders/req-1${query}`), INVALID);
  });

  test.each([
    ['with a length', '{"user_id":"u1"}'],
    ['in chunks', ReadableStream.from([Buffer.from('{}')])],
  ])('a body %s', async (_, body) => {
    const init = { body, duplex: 'half' } as RequestInit;
    await expectUntouched(del('/orders/req-1?user_id=u1', init), INVALID);
  });

  test.each(['%7Bx%7D', '%zz', 'a'.repeat(200), 'none', '%F0%9F%92%A5'])(
    'an order %s, as unknown',
    async (id) => {
      const unknown = { status: 404, body: { type: '/problems/unknown-order' } };
      await expectUntouched(del(`/orders/${id}?user_id=u1`), unknown);
    },
  );

  test('another method on its path, and DELETE on other paths, with an Allow header', async () => {
    const put = await fetch(`${open.url}/orders/req-1?user_id=u1`, { method: 'PUT' });
    expect(put.status).toBe(405);
    expect(put.headers.get('allow')?.split(', ').sort()).toEqual(['DELETE', 'GET', 'HEAD']);
    const events = await del('/orders/req-1/events?user_id=u1');
    expect([events.status, events.headers.get('allow')]).toEqual([405, 'HEAD, GET']);
    expect((await del('/buy')).status).toBe(405);
    expect((await del('/orders')).status).toBe(405);
  });
});
