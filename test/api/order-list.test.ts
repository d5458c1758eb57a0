import { createCompleteness } from '../../api/routes/order-list';
import { anArchivedOrder, createFakeArchive, type FakeArchive } from '../support/fake-archive';
import { signWithSecret, WITH_SECRET } from '../support/identity-provider';
import { openGateway, reply, type OpenGateway } from './open-gateway';

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

const list = async (query: string, headers = {}) =>
  reply(await fetch(`${open.url}/orders${query}`, { headers }));

test('shows the orders of a user as the archive has them', async () => {
  fake.answers.orders = [anArchivedOrder()];
  const before = Date.now();
  const { status, headers, body } = await list('?user_id=u1&item_id=101');
  expect(status).toBe(200);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(body).toEqual({
    orders: [
      {
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
        generation: 1,
        accepted_at: '2026-01-05T12:00:00.000Z',
        finished_at: '2026-01-05T12:00:00.250Z',
        links: { self: '/orders/req-1', events: '/orders/req-1/events' },
      },
    ],
    archived_until: expect.any(String) as string,
    next: null,
  });
  expect(Date.parse(String(body['archived_until']))).toBeGreaterThanOrEqual(before);
  // The positions first: the list may have more than they say, and must not have less.
  expect(fake.asked).toEqual([
    'positions',
    { userId: 'u1', itemId: '101', limit: 21, cursor: undefined },
  ]);
});

test('has pages, each of which links to the next', async () => {
  fake.answers.orders = ['c', 'b', 'a'].map((orderId) => anArchivedOrder({ orderId }));
  const first = await list('?user_id=u1&item_id=101&limit=2');
  expect(first.body['orders']).toHaveLength(2);
  const cursor = { acceptedAt: anArchivedOrder().acceptedAt, orderId: 'b' };
  const next = `/orders?user_id=u1&item_id=101&limit=2&before=${cursor.acceptedAt}.b`;
  expect(first.body['next']).toBe(next);
  fake.answers.orders = [anArchivedOrder({ orderId: 'a' })];
  const second = await reply(await fetch(open.url + next));
  expect(second.body).toMatchObject({ next: null });
  expect(fake.asked).toContainEqual({ userId: 'u1', itemId: '101', limit: 3, cursor });
});

test.each([
  ['', '/user_id', 'is required'],
  ['?user_id=', '/user_id', 'must be an id'],
  ['?user_id=u1&user_id=u2', '/user_id', 'must be an id'],
  ['?user_id=u1&item_id={}', '/item_id', 'must be an id'],
  ['?user_id=u1&limit=0', '/limit', 'must be a whole number from 1 to 100'],
  ['?user_id=u1&limit=101', '/limit', 'must be a whole number from 1 to 100'],
  ['?user_id=u1&before=yesterday', '/before', 'must be what a page before has in `next`'],
  ['?user_id=u1&status=failed', '/status', 'is not known'],
])('refuses the query %j', async (query, path, message) => {
  expect(await list(query)).toMatchObject({
    status: 400,
    body: { type: '/problems/invalid-request', errors: [{ path, message }] },
  });
  expect(fake.asked).toEqual([]);
});

test('while the archive is away is answered with 503, and not with an empty list', async () => {
  fake.answers.isAway = true;
  expect(await list('?user_id=u1')).toMatchObject({
    status: 503,
    body: { type: '/problems/not-accepted' },
  });
});

test('without an archive says that there is none', async () => {
  const without = await openAnother();
  expect(await reply(await fetch(`${without.url}/orders?user_id=u1`))).toMatchObject({
    status: 404,
    body: { type: '/problems/no-archive' },
  });
});

test('is made five times a second for one buyer', async () => {
  const startedAt = performance.now();
  const asked = Array.from({ length: 40 }, async () => (await list('?user_id=u1')).status);
  const statuses = await Promise.all(asked);
  const seconds = Math.ceil((performance.now() - startedAt) / 1_000);
  expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(5 + 5 * seconds);
  expect(await list('?user_id=u2')).toMatchObject({ status: 200 });
});

test('is made for eight buyers at once', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { positions } = fake.archive.orders;
  fake.archive.orders.positions = async (topic) => {
    await held;
    return positions(topic);
  };
  let answered = 0;
  const asked = Array.from({ length: 9 }, async (_, i) => {
    const { status } = await list(`?user_id=u${i}`);
    answered += 1;
    if (answered === 1) release();
    return status;
  });
  expect((await Promise.all(asked)).sort()).toEqual([...Array<number>(8).fill(200), 503]);
});

test('with tokens is the buyer’s own', async () => {
  const change = () => ({ archive: fake.archive, jwt: WITH_SECRET });
  const withTokens = await openAnother({ change });
  const ask = async (query: string) => {
    const headers = { authorization: `Bearer ${await signWithSecret('u1')}` };
    return reply(await fetch(`${withTokens.url}/orders${query}`, { headers }));
  };
  expect(await ask('')).toMatchObject({ status: 200 });
  expect(await ask('?user_id=u1')).toMatchObject({ status: 200 });
  const listed = { itemId: undefined, limit: 21, cursor: undefined };
  expect(fake.asked).toContainEqual({ userId: 'u1', ...listed });
  expect(await ask('?user_id=u2')).toMatchObject({
    status: 403,
    body: { type: '/problems/other-user' },
  });
  expect((await fetch(`${withTokens.url}/orders`)).status).toBe(401);
});

describe('the archive is complete', () => {
  const errors = { report: () => undefined };
  /** A log of two partitions that grows, looked at every two seconds. */
  const look = async (highs: readonly (readonly [bigint, bigint] | 'away')[], low = 0n) => {
    let at = 0;
    let next = 0;
    const completeness = createCompleteness(
      () => {
        const high = highs[next++];
        if (high === undefined || high === 'away') return Promise.reject(new Error('away'));
        return Promise.resolve(high.map((end, partition) => ({ partition, low, high: end })));
      },
      errors,
      () => at,
    );
    while (next < highs.length) {
      at += 2_000;
      await completeness.look();
    }
    return (...positions: (readonly [number, bigint])[]) => completeness.until(new Map(positions));
  };

  test('up to the last look whose records are all archived', async () => {
    const until = await look([
      [0n, 0n],
      [5n, 0n],
      [5n, 7n],
    ]);
    expect(until()).toBe(2_000);
    expect(until([0, 4n])).toBe(2_000);
    expect(until([0, 5n])).toBe(4_000);
    expect(until([0, 5n], [1, 6n])).toBe(4_000);
    expect(until([0, 9n], [1, 7n])).toBe(6_000);
  });

  test('to no known time while it is behind every look, or nobody can look', async () => {
    expect((await look([[5n, 5n]]))([0, 5n], [1, 4n])).toBeUndefined();
    expect((await look(['away']))([0, 5n], [1, 5n])).toBeUndefined();
    expect((await look([[5n, 5n], 'away']))([0, 5n], [1, 5n])).toBe(2_000);
  });

  test('where a partition has nothing left', async () => {
    expect((await look([[5n, 5n]], 5n))()).toBe(2_000);
  });

  test('by a look a second, however many ask', async () => {
    let asked = 0;
    let at = 0;
    const { look: ask } = createCompleteness(
      () => {
        asked += 1;
        return Promise.resolve([]);
      },
      errors,
      () => at,
    );
    await Promise.all([ask(), ask()]);
    await ask();
    expect(asked).toBe(1);
    at += 1_000;
    await ask();
    expect(asked).toBe(2);
  });
});
