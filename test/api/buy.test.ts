import { setTimeout as sleep } from 'node:timers/promises';
import { decodeOrder } from '../../engine/orders/order-record';
import { buy, ITEM, openGateway, until, type OpenGateway } from './open-gateway';

let open: OpenGateway;

beforeEach(async () => {
  open = await openGateway({ units: 3 });
});

afterEach(() => open.close());

const counts = async () => (await open.stock.ledger.item(ITEM))?.counts;

/** The record is on its way, and whatever does not wait for its acknowledgement has had time to happen. */
const isAppending = async () => {
  await until(() => open.publisher.records.length === 1);
  await sleep(30);
};

describe('POST /buy accepts', () => {
  test('with 202, the place to look and links', async () => {
    const { status, headers, body } = await buy(open);
    expect(status).toBe(202);
    expect(headers.get('location')).toBe('/orders/req-1');
    expect(headers.get('content-type')).toBe('application/json');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(body).toEqual({
      request_id: 'req-1',
      status: 'queued',
      links: { self: '/orders/req-1', events: '/orders/req-1/events' },
    });
  });

  test('only once the record is acknowledged and the units are queued', async () => {
    open.publisher.next = 'wait';
    let answered = false;
    const answer = buy(open, { amount: 2 }).finally(() => (answered = true));
    await isAppending();
    expect(await counts()).toMatchObject({ free: 1, held: 2, queued: 0 });
    expect(answered).toBe(false);
    open.publisher.acknowledge();
    expect((await answer).status).toBe(202);
    expect(await counts()).toMatchObject({ free: 1, held: 0, queued: 2 });
  });

  test('and writes down the order at the price of its admission', async () => {
    await open.stock.setSale(ITEM, { priceMinor: 250, currency: 'EUR' });
    await buy(open, { amount: 2 });
    const [record] = open.publisher.records;
    expect(record?.key).toBe('req-1');
    expect(decodeOrder(record?.value ?? null)).toMatchObject({
      kind: 'order',
      order: { requestId: 'req-1', itemId: '101', amount: 2, priceMinor: 250, currency: 'EUR' },
    });
  });

  test('and what the buyer pays with, where the shop names it', async () => {
    const payment = { payment_method: 'pm_1N3T00LkdIwHu7ix', customer: 'cus_9s6X' };
    expect((await buy(open, { payment })).status).toBe(202);
    // Another card under the same id is the same request.
    expect((await buy(open, { payment: { payment_method: 'pm_2' } })).status).toBe(409);
    const orders = open.publisher.records.map((one) => decodeOrder(one.value));
    expect(orders).toMatchObject([
      { order: { payment: { method: 'pm_1N3T00LkdIwHu7ix', customer: 'cus_9s6X' } } },
    ]);
  });

  test('and how long the buyer has to pay, which a repeated request cannot change', async () => {
    await open.stock.setSale(ITEM, { payWithinMs: 600_000 });
    expect((await buy(open)).status).toBe(202);
    await open.stock.setSale(ITEM, {});
    await buy(open, { payment: { payment_method: 'pm_1' } });
    await buy(open, { request_id: 'req-2' });
    const orders = open.publisher.records.map((one) => decodeOrder(one.value));
    expect(orders).toHaveLength(2);
    expect(orders).toMatchObject([{ order: { payWithinMs: 600_000 } }, { kind: 'order' }]);
    expect(orders[1]).not.toHaveProperty('order.payWithinMs');
  });

  test('for an attempt that was never acknowledged, and whose buyer pays without the card that it now names', async () => {
    await open.stock.setSale(ITEM, { payWithinMs: 600_000 });
    open.publisher.next = 'wait';
    const first = buy(open);
    await isAppending();
    open.stock.force('req-1', { leaseUntil: 0 });
    await open.stock.setSale(ITEM, {});
    const second = buy(open, { payment: { payment_method: 'pm_1' } });
    await until(() => open.publisher.records.length === 2);
    open.publisher.acknowledge();
    await Promise.all([first, second]);
    const [, order] = open.publisher.records.map((one) => decodeOrder(one.value));
    expect(order).toMatchObject({ order: { payWithinMs: 600_000 } });
    expect(order).not.toHaveProperty('order.payment');
  });

  test('a purchase whose user_id matches the pattern', async () => {
    const strict = await openGateway({ change: () => ({ userIdPattern: /^(?:u-[0-9]+)$/u }) });
    const statuses = [await buy(strict, { user_id: 'u-7' }), await buy(strict)];
    await strict.close();
    expect(statuses.map(({ status }) => status)).toEqual([202, 400]);
  });

  test('exactly as many of a crowd as there are units', async () => {
    const crowd = Array.from({ length: 200 }, (_, i) => buy(open, { request_id: `req-${i}` }));
    const statuses = (await Promise.all(crowd)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 202)).toHaveLength(3);
    expect(statuses.filter((status) => status === 409)).toHaveLength(197);
    expect(open.publisher.records).toHaveLength(3);
  });
});

describe('POST /buy tells a repeated request', () => {
  test('what became of its order', async () => {
    await buy(open);
    open.stock.force('req-1', { state: 'sold', paymentId: 'pay-1', generation: 1, finishedAt: 5 });
    const { status, headers, body } = await buy(open);
    expect(status).toBe(409);
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(headers.get('location')).toBe('/orders/req-1');
    expect(body).toMatchObject({
      type: '/problems/duplicate-request',
      request_id: 'req-1',
      order: { status: 'confirmed', payment_id: 'pay-1', generation: 1, reason: null },
    });
    expect(open.publisher.records).toHaveLength(1);
  });

  test('to wait while the first is under way, and when to come back', async () => {
    open.publisher.next = 'wait';
    const first = buy(open);
    await isAppending();
    const { status, headers, body } = await buy(open);
    expect(status).toBe(409);
    expect(body).toMatchObject({ type: '/problems/request-in-progress', request_id: 'req-1' });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    open.publisher.acknowledge();
    expect((await first).status).toBe(202);
    expect(open.publisher.records).toHaveLength(1);
  });

  test('a rejection that is written down when its hold was given away, though a record of it may be in the log', async () => {
    open.publisher.next = 'wait';
    const first = buy(open);
    await isAppending();
    open.stock.reclaim('req-1');
    await open.stock.setFree(ITEM, 0);
    open.publisher.acknowledge();
    expect((await first).body).toMatchObject({ type: '/problems/outcome-unknown' });
    const second = await buy(open);
    expect(second).toMatchObject({ status: 409, body: { type: '/problems/sold-out' } });
    expect(open.stock.rejected()).toEqual(['req-1']);
    // No attempt was made before it, so nothing of it can be in the log.
    expect((await buy(open, { request_id: 'req-2' })).status).toBe(409);
    expect(open.stock.rejected()).toEqual(['req-1']);
  });

  test('that its id is taken when the payload is another, and takes nothing for it', async () => {
    await buy(open);
    const { status, body } = await buy(open, { amount: 2 });
    expect(status).toBe(422);
    expect(body).toMatchObject({ type: '/problems/request-id-reused', request_id: 'req-1' });
    expect(await counts()).toMatchObject({ free: 2, queued: 1 });
  });

  test('the same for another item, whose units it gives back before it answers', async () => {
    await buy(open);
    await open.stock.setFree('102' as typeof ITEM, 5);
    const { status } = await buy(open, { item_id: '102' });
    expect(status).toBe(422);
    const other = await open.stock.ledger.item('102' as typeof ITEM);
    expect(other?.counts).toMatchObject({ free: 5, held: 0 });
  });

  test('that its id is taken although the claim has expired, and leaves no claim of its own', async () => {
    await buy(open);
    open.stock.dropClaim('req-1');
    expect((await buy(open, { amount: 2 })).status).toBe(422);
    expect((await buy(open)).body['type']).toBe('/problems/duplicate-request');
  });
});

describe('POST /buy rejects', () => {
  const rejections = [
    {
      name: 'a sold-out item for good once every unit is sold',
      prepare: async () => {
        await buy(open, { request_id: 'all', amount: 3 });
        open.stock.force('all', { state: 'sold' });
      },
      status: 409,
      problem: { type: '/problems/sold-out', final: true },
    },
    {
      name: 'a sold-out item for now while units are in checkout',
      prepare: () => buy(open, { request_id: 'all', amount: 3 }),
      status: 409,
      problem: { type: '/problems/sold-out', final: false },
    },
    {
      name: 'what exceeds the purchase limit',
      prepare: async () => {
        await open.stock.setSale(ITEM, { unitsPerUser: 1 });
        await buy(open, { request_id: 'mine' });
      },
      status: 409,
      problem: { type: '/problems/purchase-limit', units_per_user: 1, owned: 1, final: false },
    },
    {
      name: 'what exceeds the purchase limit for good, once nothing is in checkout',
      prepare: async () => {
        await open.stock.setSale(ITEM, { unitsPerUser: 1 });
        await buy(open, { request_id: 'mine' });
        open.stock.force('mine', { state: 'sold' });
      },
      status: 409,
      problem: { type: '/problems/purchase-limit', owned: 1, final: true },
    },
    {
      name: 'after the end of the sale',
      prepare: () => open.stock.setSale(ITEM, { closesAt: 1000 }),
      status: 409,
      problem: { type: '/problems/sale-over', closed_at: '1970-01-01T00:00:01.000Z' },
    },
    {
      name: 'what a buyer pays with where buyers pay themselves',
      prepare: () => open.stock.setSale(ITEM, { payWithinMs: 600_000 }),
      fields: { payment: { payment_method: 'pm_1' } },
      status: 400,
      problem: {
        type: '/problems/invalid-request',
        errors: [
          { path: '/payment', message: 'must be absent: the buyers of this sale pay themselves' },
        ],
      },
    },
    {
      name: 'an unknown item',
      prepare: () => undefined,
      fields: { item_id: 'no-such' },
      status: 404,
      problem: { type: '/problems/unknown-item', item_id: 'no-such' },
    },
  ];

  test.each(rejections)(
    '$name, and burns nothing',
    async ({ prepare, fields, status, problem }) => {
      await prepare();
      const before = open.stock.snapshot();
      const answer = await buy(open, { ...fields });
      expect(answer.status).toBe(status);
      expect(answer.body).toMatchObject({ ...problem, status, request_id: 'req-1' });
      expect(open.stock.snapshot()).toBe(before);
    },
  );

  test('before the start of the sale, and says when to come back', async () => {
    const opensAt = Date.now() + 60_000;
    await open.stock.setSale(ITEM, { opensAt });
    const { status, headers, body } = await buy(open);
    expect(status).toBe(409);
    expect(body).toMatchObject({
      type: '/problems/sale-not-open',
      opens_at: new Date(opensAt).toISOString(),
    });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(50);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60);
  });

  test('what exceeds the purchase limit, and says when to come back unless that is final', async () => {
    await open.stock.setSale(ITEM, { unitsPerUser: 1 });
    expect((await buy(open, { request_id: 'mine' })).status).toBe(202);
    expect((await buy(open)).headers.get('retry-after')).toBe('5');
    open.stock.force('mine', { state: 'sold' });
    expect((await buy(open)).headers.get('retry-after')).toBeNull();
  });

  test('without locking the id: the buyer may ask for less under it at once', async () => {
    expect((await buy(open, { amount: 4 })).status).toBe(409);
    expect((await buy(open, { amount: 3 })).status).toBe(202);
  });
});
