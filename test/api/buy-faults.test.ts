import type { GatewayParts } from '../../api/gateway';
import { QueueFullError } from '../../engine/kafka/safe-producer';
import type { FakeStock } from '../support/fake-stock';
import { buy, ITEM, openGateway, reply, until, type OpenGateway } from './open-gateway';

let open: OpenGateway;
afterEach(() => open.close());

const counts = async () => (await open.stock.ledger.item(ITEM))?.counts;

function expectUnavailable(answer: Awaited<ReturnType<typeof buy>>, type: string): void {
  expect(answer.status).toBe(503);
  expect(answer.body).toMatchObject({ type: `/problems/${type}`, request_id: 'req-1' });
  expect(['1', '2', '3']).toContain(answer.headers.get('retry-after'));
}

type Methods = Partial<GatewayParts['admission']>;

/** A gateway whose admission is the fake one, but for these methods. */
const openWith = (methods: (stock: FakeStock) => Methods) =>
  openGateway({
    change: ({ stock }) => ({ admission: { ...stock.admission, ...methods(stock) } }),
  });

describe('with Kafka in trouble, POST /buy', () => {
  test('answers outcome-unknown when no acknowledgement comes in time, and keeps the hold', async () => {
    open = await openGateway({ change: () => ({ limits: { appendDeadlineMs: 50 } }) });
    open.publisher.next = 'wait';
    expectUnavailable(await buy(open), 'outcome-unknown');
    expect(await counts()).toMatchObject({ free: 9, held: 1, queued: 0 });
  });

  test('still queues the order when the acknowledgement comes after the answer', async () => {
    open = await openGateway({ change: () => ({ limits: { appendDeadlineMs: 50 } }) });
    open.publisher.next = 'wait';
    await buy(open);
    open.publisher.acknowledge();
    await open.gateway.finishLateOrders();
    expect(await counts()).toMatchObject({ held: 0, queued: 1 });
    expect((await buy(open)).body).toMatchObject({
      type: '/problems/duplicate-request',
      order: { status: 'queued' },
    });
  });

  test('accepts nothing and gives everything back when the queue is full', async () => {
    open = await openGateway();
    const before = open.stock.snapshot();
    open.publisher.next = new QueueFullError('full');
    expectUnavailable(await buy(open), 'not-accepted');
    expect(open.stock.snapshot()).toBe(before);
  });

  test('leaves a claim that it found when the queue is full', async () => {
    open = await openGateway();
    const first = await buy(open);
    open.stock.force('req-1', { leaseUntil: 0, state: 'held' });
    open.publisher.next = new QueueFullError('full');
    expectUnavailable(await buy(open), 'not-accepted');
    expect(first.status).toBe(202);
    expect((await buy(open, { amount: 2 })).status).toBe(422);
  });

  test('answers outcome-unknown when the producer gives up on a record', async () => {
    open = await openGateway();
    open.publisher.next = new Error('closed in the middle');
    expectUnavailable(await buy(open), 'outcome-unknown');
    expect(await counts()).toMatchObject({ held: 1 });
    expect(open.logged).toContainEqual(
      expect.objectContaining({ msg: 'an order was handed over and not acknowledged' }),
    );
  });
});

describe('with Redis in trouble, POST /buy', () => {
  test('accepts nothing when claim and hold get no answer', async () => {
    open = await openWith(() => ({ claimAndHold: () => Promise.reject(new Error('gone')) }));
    expectUnavailable(await buy(open), 'not-accepted');
    expect(open.publisher.records).toHaveLength(0);
  });

  test('accepts nothing when its own place in the round trip is an error, and undoes its hold', async () => {
    open = await openWith((stock) => ({
      claimAndHold: async (attempts) => {
        await stock.admission.claimAndHold(attempts);
        return attempts.map(() => new Error('timeout'));
      },
    }));
    expectUnavailable(await buy(open), 'not-accepted');
    await until(async () => (await counts())?.held === 0);
    expect(await counts()).toMatchObject({ free: 10 });
  });

  test('accepts nothing when Redis never answers', async () => {
    open = await openWith(() => ({ claimAndHold: () => new Promise(() => undefined) }));
    expectUnavailable(await buy(open), 'not-accepted');
  });

  test('answers outcome-unknown when the entry has gone before it was queued', async () => {
    open = await openWith(() => ({ queue: (orders) => Promise.resolve(orders.map(() => false)) }));
    expectUnavailable(await buy(open), 'outcome-unknown');
  });

  test('answers outcome-unknown when queueing fails', async () => {
    open = await openWith(() => ({ queue: () => Promise.reject(new Error('gone')) }));
    expectUnavailable(await buy(open), 'outcome-unknown');
  });

  test('does not hold a rejection back for an undo that hangs', async () => {
    open = await openWith(() => ({ undo: () => new Promise(() => undefined) }));
    expect((await buy(open, { amount: 11 })).body['type']).toBe('/problems/sold-out');
    expect(open.logged).toContainEqual(
      expect.objectContaining({ msg: 'an attempt was not undone' }),
    );
  });

  test('logs a fault that hits many once a second, and counts the rest', async () => {
    open = await openWith(() => ({ claimAndHold: () => Promise.reject(new Error('gone')) }));
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 50 }, (_, i) => buy(open, { request_id: `r${i}` })));
    const seconds = Math.ceil((performance.now() - startedAt) / 1_000);
    const lines = open.logged.filter(({ msg }) => msg === 'no answer to claim and hold');
    expect(lines.length).toBeLessThanOrEqual(1 + seconds);
    const metrics = await (await fetch(`${open.adminUrl}/metrics`)).text();
    expect(metrics).toContain('flash_sale_faults_total{what="no answer to claim and hold"} 50');
  });
});

describe('under overload, POST /buy', () => {
  test('turns away what exceeds the bound before it touches anything', async () => {
    open = await openGateway({ change: () => ({ limits: { buysInFlightMax: 2 } }) });
    open.publisher.next = 'wait';
    const inHand = [buy(open, { request_id: 'a' }), buy(open, { request_id: 'b' })];
    await until(() => open.publisher.records.length === 2);
    const before = open.stock.snapshot();
    const refused = await buy(open, { request_id: 'c' });
    expect(refused.status).toBe(503);
    expect(refused.body).toMatchObject({ type: '/problems/not-accepted' });
    expect(refused.headers.get('retry-after')).toMatch(/^[123]$/);
    expect(open.stock.snapshot()).toBe(before);
    open.publisher.acknowledge();
    expect((await Promise.all(inHand)).map(({ status }) => status)).toEqual([202, 202]);
    open.publisher.next = 'acknowledge';
    expect((await buy(open, { request_id: 'c' })).status).toBe(202);
  });

  test('keeps the bound for a crowd that arrives at once', async () => {
    open = await openGateway({ change: () => ({ limits: { buysInFlightMax: 5 } }) });
    open.publisher.next = 'wait';
    const refused: unknown[] = [];
    const crowd = Array.from({ length: 30 }, async (_, i) => {
      const { status, body } = await buy(open, { request_id: `r${i}` });
      if (status === 503) refused.push(body['type']);
      return status;
    });
    await until(() => refused.length === 25);
    expect(new Set(refused)).toEqual(new Set(['/problems/not-accepted']));
    open.publisher.acknowledge();
    expect((await Promise.all(crowd)).filter((status) => status === 202)).toHaveLength(5);
    expect(open.publisher.records).toHaveLength(5);
  });
});

describe('while the gateway shuts down', () => {
  test('purchases in hand are finished, and new ones refused on a connection that ends', async () => {
    open = await openGateway();
    open.publisher.next = 'wait';
    const inHand = buy(open);
    await until(() => open.publisher.records.length === 1);
    const drained = open.gateway.drain();

    const refused = await buy(open, { request_id: 'late' });
    expect(refused.status).toBe(503);
    expect(refused.body['type']).toBe('/problems/not-accepted');
    expect(refused.headers.get('connection')).toBe('close');
    const ready = await reply(await fetch(`${open.url}/readyz`));
    expect(ready.status).toBe(503);

    open.publisher.acknowledge();
    const answer = await inHand;
    expect(answer.status).toBe(202);
    expect(answer.headers.get('connection')).toBe('close');
    await drained;
    expect(open.publisher.records).toHaveLength(1);
  });
});

test('with a nearly full Redis, POST /buy takes nothing, and answers what was accepted before', async () => {
  let isNearlyFull = false;
  open = await openGateway({
    change: () => ({ redisMemory: { isNearlyFull: () => isNearlyFull, warnings: () => [] } }),
  });
  expect((await buy(open)).status).toBe(202);
  isNearlyFull = true;
  const before = open.stock.snapshot();
  const again = await buy(open);
  expect(again.body).toMatchObject({ type: '/problems/duplicate-request' });
  const refused = await buy(open, { request_id: 'req-2' });
  expect([refused.status, refused.body['type']]).toEqual([503, '/problems/not-accepted']);
  expect(open.stock.snapshot()).toBe(before);
});

describe('a bug', () => {
  test('is answered 500 without a word about itself, and logged', async () => {
    open = await openWith(() => ({
      // What no admission may return.
      claimAndHold: (attempts) =>
        Promise.resolve(attempts.map(() => ({ claim: 'new', hold: { kind: 'secret' } }) as never)),
    }));
    const { status, body } = await buy(open);
    expect(status).toBe(500);
    expect(body).toMatchObject({ type: '/problems/internal', request_id: 'req-1' });
    expect(JSON.stringify(body)).not.toContain('secret');
    expect(open.logged.find(({ msg }) => msg === 'a bug')).toMatchObject({ level: 50 });
  });

  test('is logged without the user_id of the query', async () => {
    open = await openGateway({
      change: ({ stock }) => ({
        // A cancelled order of which nothing is known.
        ledger: { ...stock.ledger, cancel: () => Promise.resolve({ kind: 'cancelled' } as never) },
      }),
    });
    await buy(open);
    const target = `${open.url}/orders/req-1?user_id=u1`;
    expect((await fetch(target, { method: 'DELETE' })).status).toBe(500);
    const line = open.logged.find(({ msg }) => msg === 'a bug');
    expect(line).toMatchObject({ method: 'DELETE', path: '/orders/req-1' });
    expect(JSON.stringify(line)).not.toContain('user_id=');
  });
});
