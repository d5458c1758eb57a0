import { createOrderLookup } from '../../api/routes/order-lookup';
import type { RequestId } from '../../engine/orders/order';
import { anArchivedOrder, createFakeArchive, type FakeArchive } from '../support/fake-archive';
import { signWithSecret, WITH_SECRET } from '../support/identity-provider';
import { claimValue, FINISHED_MARK } from '../../engine/stock/keys';
import { anAttempt, aPurchase } from '../support/purchases';
import { createFakeStock } from '../support/fake-stock';
import { buy, ITEM, openGateway, reply, type OpenGateway } from './open-gateway';

let fake: FakeArchive;
let open: OpenGateway;
/** Another gateway, which is closed with the first. */
const others: OpenGateway[] = [];
const openAnother = async (...args: Parameters<typeof openGateway>) => {
  const other = await openGateway(...args);
  others.push(other);
  return other;
};
beforeEach(async () => {
  fake = createFakeArchive();
  open = await openGateway({ change: () => ({ archive: fake.archive }) });
});
afterEach(() => Promise.all([open, ...others.splice(0)].map((one) => one.close())));

const get = async (path: string) => reply(await fetch(open.url + path));
const cancel = async (query = '?user_id=u1') =>
  reply(await fetch(`${open.url}/orders/req-1${query}`, { method: 'DELETE' }));
const FAILED = { status: 'failed', reason: 'payment-declined', paymentId: undefined } as const;

describe('a purchase whose order has left the ledger', () => {
  const own = claimValue(anAttempt(aPurchase({ requestId: 'req-1', userId: 'u1', itemId: ITEM })));
  beforeEach(() => {
    fake.answers.orders = [anArchivedOrder()];
    open.stock.claim('req-1', `${own}${FINISHED_MARK}`);
  });

  test('is answered with that order, and nothing of this attempt is left', async () => {
    const before = open.stock.snapshot();
    const { status, headers, body } = await buy(open);
    expect({ status, body }).toMatchObject({
      status: 409,
      body: { type: '/problems/duplicate-request', order: { payment_id: 'ch_1' } },
    });
    expect(headers.get('location')).toBe('/orders/req-1');
    expect(open.stock.snapshot()).toBe(before);
    expect((await buy(open, { amount: 2 })).status).toBe(422);
    expect(open.stock.snapshot()).toBe(before);
  });

  test.each([
    ['is away', () => (fake.answers.isAway = true)],
    ['has lost the order', () => (fake.answers.orders = [])],
  ])('is refused while the archive %s, and may be repeated', async (_, make) => {
    const before = open.stock.snapshot();
    make();
    const { status, body, headers } = await buy(open);
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { type: '/problems/not-accepted' },
    });
    expect(headers.get('retry-after')).not.toBeNull();
    expect(await get('/orders/req-1')).toMatchObject({ status: 503 });
    expect(open.stock.snapshot()).toBe(before);
  });

  test('is answered with it while nothing is sold, too', async () => {
    const closed = await openAnother({
      change: () => ({ archive: fake.archive, selling: () => 'stopped' }),
    });
    closed.stock.claim('req-1', `${own}${FINISHED_MARK}`);
    expect((await buy(closed)).body).toMatchObject({ order: { status: 'confirmed' } });
    expect((await buy(closed, { amount: 2 })).status).toBe(422);
    expect((await buy(closed, { request_id: 'req-2' })).status).toBe(503);
  });
});

describe('an order that only the archive has', () => {
  test('is shown as ever', async () => {
    fake.answers.orders = [anArchivedOrder()];
    fake.answers.events = [
      { at: anArchivedOrder().acceptedAt + 90, status: 'failed' },
      { at: anArchivedOrder().acceptedAt + 250, status: 'confirmed' },
    ];
    expect(await get('/orders/req-1')).toMatchObject({ status: 200 });
    expect((await get('/orders/req-1')).body).toEqual({
      request_id: 'req-1',
      item_id: '101',
      user_id: 'u1',
      amount: 1,
      total_minor: 1000,
      currency: 'USD',
      status: 'confirmed',
      reason: null,
      payment_id: 'ch_1',
      refunded_minor: 0,
      refunds: [],
      disputes: [],
      generation: 1,
      accepted_at: '2026-01-05T12:00:00.000Z',
      finished_at: '2026-01-05T12:00:00.250Z',
      timeline: [
        { at: '2026-01-05T12:00:00.000Z', state: 'held' },
        { at: '2026-01-05T12:00:00.090Z', state: 'released' },
        { at: '2026-01-05T12:00:00.250Z', state: 'sold' },
      ],
      links: { self: '/orders/req-1', events: '/orders/req-1/events' },
    });
  });

  test('without events ends when its letter says', async () => {
    fake.answers.orders = [anArchivedOrder(FAILED)];
    const { body } = await get('/orders/req-1');
    expect(body).toMatchObject({ status: 'failed', reason: 'payment-declined' });
    expect(body['timeline']).toEqual([
      { at: '2026-01-05T12:00:00.000Z', state: 'held' },
      { at: '2026-01-05T12:00:00.250Z', state: 'released' },
    ]);
  });

  test('can be followed to its end, at once', async () => {
    fake.answers.orders = [anArchivedOrder()];
    const events = await fetch(`${open.url}/orders/req-1/events`);
    expect(await events.text()).toContain('"status":"confirmed"');
  });

  test.each([
    ['confirmed', {}, 409, { type: '/problems/too-late-to-cancel', reason: 'confirmed' }],
    ['failed', FAILED, 409, { type: '/problems/too-late-to-cancel', reason: 'failed' }],
    ['cancelled', { status: 'cancelled' }, 200, { status: 'cancelled' }],
    ['queued', { status: 'queued' }, 503, { type: '/problems/outcome-unknown' }],
  ] as const)('and is %s is answered so when it is cancelled', async (_, fields, status, body) => {
    fake.answers.orders = [anArchivedOrder(fields)];
    expect(await cancel()).toMatchObject({ status, body });
    expect(await cancel('?user_id=u2')).toMatchObject({ status: 403 });
    expect(open.cancellations.records).toEqual([]);
  });

  test('is shown although its id was taken later, by a request that was refused', async () => {
    fake.answers.orders = [anArchivedOrder({ amount: 3 })];
    await buy(open, { user_id: 'u2' });
    open.stock.force('req-1', { state: 'released', reason: 'request-id-reused' });
    expect((await get('/orders/req-1')).body).toMatchObject({ user_id: 'u1', amount: 3 });
  });

  test('and was refused itself does not hide the same order in Redis', async () => {
    fake.answers.orders = [anArchivedOrder({ ...FAILED, reason: 'request-id-reused' })];
    await buy(open, { user_id: 'u2' });
    open.stock.force('req-1', { state: 'released', reason: 'request-id-reused' });
    expect((await get('/orders/req-1')).body).toMatchObject({ user_id: 'u2' });
  });
});

test('with tokens, an archived order is its buyer’s alone', async () => {
  const uuid = '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21';
  fake.answers.orders = [anArchivedOrder({ requestId: uuid as RequestId })];
  const change = () => ({ archive: fake.archive, jwt: WITH_SECRET });
  const withTokens = await openAnother({ change });
  const statusFor = async (user: string, method = 'GET') => {
    const headers = { authorization: `Bearer ${await signWithSecret(user)}` };
    return (await fetch(`${withTokens.url}/orders/${uuid}`, { method, headers })).status;
  };
  expect([await statusFor('u1'), await statusFor('u2')]).toEqual([200, 404]);
  expect([await statusFor('u1', 'DELETE'), await statusFor('u2', 'DELETE')]).toEqual([409, 404]);
});

describe('while the archive is away', () => {
  beforeEach(() => {
    fake.answers.isAway = true;
  });

  test('an order that Redis does not know is not called unknown', async () => {
    const { status, headers, body } = await get('/orders/req-1');
    expect([status, body['type']]).toEqual([503, '/problems/not-accepted']);
    expect(headers.get('retry-after')).toMatch(/^[123]$/);
    expect(await get('/orders/req-1/events')).toMatchObject({ status: 503 });
    expect(await cancel()).toMatchObject({
      status: 503,
      body: { type: '/problems/outcome-unknown' },
    });
    fake.answers.isAway = false;
    expect(await get('/orders/req-1')).toMatchObject({ status: 404 });
  });

  test('purchases and their orders are as ever', async () => {
    expect(await buy(open)).toMatchObject({ status: 202 });
    expect(await get('/orders/req-1')).toMatchObject({ status: 200 });
    expect(await buy(open)).toMatchObject({ status: 409 });
    expect(await cancel()).toMatchObject({ status: 200 });
    expect(fake.asked).toEqual([]);
  });
});

test('the archive is not asked for an order of an item whose ledger is lost', async () => {
  fake.answers.orders = [anArchivedOrder()];
  open.stock.claim('req-1', 'print|102');
  expect(await get('/orders/req-1')).toMatchObject({ status: 503 });
  expect(fake.asked).toEqual([]);
});

describe('a crowd that asks', () => {
  const answers = (path: string) =>
    Promise.all(Array.from({ length: 100 }, async () => (await get(path)).status));

  test('for one order, or for none, costs the archive a question each', async () => {
    const startedAt = performance.now();
    fake.answers.orders = [anArchivedOrder()];
    expect(new Set(await answers('/orders/req-1'))).toEqual(new Set([200]));
    expect(new Set(await answers('/orders/none'))).toEqual(new Set([404]));
    // An answer is remembered for five seconds.
    const times = 1 + (performance.now() - startedAt) / 5_000;
    expect(fake.asked.filter((question) => question === 'req-1').length).toBeLessThanOrEqual(times);
    expect(fake.asked.filter((question) => question === 'none').length).toBeLessThanOrEqual(times);
  });

  test('for a thousand orders costs the archive eight questions at once', async () => {
    const lookUp = createOrderLookup({
      ledger: createFakeStock().ledger,
      archive: fake.archive.orders,
      errors: { report: () => undefined },
    });
    const ids = Array.from({ length: 1_000 }, (_, i) => `none-${i}` as RequestId);
    const results = await Promise.allSettled(ids.map((id) => lookUp(id)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
    expect(fake.asked).toHaveLength(8);
  });
});

describe('the refusal of a purchase above the limit', () => {
  const refused = async (gateway: OpenGateway, headers: Record<string, string> = {}) => {
    await gateway.stock.setSale(ITEM, { unitsPerUser: 1 });
    const body = { item_id: ITEM, amount: 2, request_id: '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21' };
    const user = headers['authorization'] === undefined ? { user_id: 'u+1' } : {};
    const sent = await fetch(`${gateway.url}/buy`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ ...body, ...user }),
    });
    return reply(sent);
  };

  test('links to the orders of its buyer', async () => {
    const { body } = await refused(open);
    expect(body).toMatchObject({ type: '/problems/purchase-limit' });
    expect(body['links']).toEqual({ orders: '/orders?item_id=101&user_id=u%2B1' });
    expect(await get('/orders?item_id=101&user_id=u%2B1')).toMatchObject({ status: 200 });
  });

  test('with tokens names no user in the link', async () => {
    const change = () => ({ archive: fake.archive, jwt: WITH_SECRET });
    const withTokens = await openAnother({ change });
    const authorization = `Bearer ${await signWithSecret('u1')}`;
    const { body } = await refused(withTokens, { authorization });
    expect(body['links']).toEqual({ orders: '/orders?item_id=101' });
  });

  test('without an archive links to nothing', async () => {
    const without = await openAnother();
    const { body } = await refused(without);
    expect(body).toMatchObject({ type: '/problems/purchase-limit', owned: 0 });
    expect(body).not.toHaveProperty('links');
  });
});
