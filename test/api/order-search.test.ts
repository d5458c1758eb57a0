import { request } from 'node:http';
import { anArchivedOrder, createFakeArchive, type FakeArchive } from '../support/fake-archive';
import { until } from './open-gateway';
import { openOperatorGateway, problemType, TOKENS, type OperatorGateway } from './operator-gateway';

let fake: FakeArchive;
let open: OperatorGateway;
beforeEach(async () => {
  fake = createFakeArchive();
  open = await openOperatorGateway({ archive: fake.archive });
});
afterEach(() => open.close());

const search = (query = '') => open.ask('GET', `/orders${query}`);
const read = (query: string, headers: Record<string, string> = {}) =>
  fetch(`${open.adminUrl}/operator/orders${query}`, {
    headers: { authorization: `Bearer ${TOKENS.read}`, ...headers },
  });

const ROW = {
  order_id: 'order-1',
  request_id: 'req-1',
  item_id: '101',
  user_id: 'u1',
  amount: 1,
  price_minor: 1000,
  currency: 'USD',
  status: 'confirmed',
  reason: null,
  payment_id: 'ch_1',
  generation: 1,
  accepted_at: '2026-01-05T12:00:00.000Z',
  finished_at: '2026-01-05T12:00:00.250Z',
  refunded_minor: 0,
  restocked: 0,
};
const HEAD =
  'order_id,request_id,item_id,user_id,amount,price_minor,currency,status,reason,payment_id,generation,accepted_at,finished_at,refunded_minor,restocked';

describe('an export', () => {
  test('is refused while it cannot be recorded', async () => {
    open.answers.acknowledged = 0;
    expect((await read('?format=csv')).status).toBe(503);
    expect(fake.asked).toEqual([]);
    expect((await read('')).status).toBe(200);
  });
});

describe('a search', () => {
  test('finds what its filters say', async () => {
    fake.answers.orders = [anArchivedOrder()];
    const query =
      '?request_id=req-1&user_id=u1&item_id=101&payment_id=ch%201&status=failed&reason=sold-out&since=2026-01-05T12:00Z&until=2026-01-06T12:00Z';
    expect(await search(query)).toMatchObject({ status: 200, body: { orders: [ROW], next: null } });
    expect(fake.asked).toEqual([
      {
        requestId: 'req-1',
        userId: 'u1',
        itemId: '101',
        paymentId: 'ch 1',
        status: 'failed',
        reason: 'sold-out',
        since: Date.parse('2026-01-05T12:00Z'),
        until: Date.parse('2026-01-06T12:00Z'),
        limit: 51,
        cursor: undefined,
      },
    ]);
  });

  test('has pages, each of which links to the next', async () => {
    fake.answers.orders = ['c', 'b', 'a'].map((orderId) => anArchivedOrder({ orderId }));
    const { body } = await search('?item_id=101&limit=2');
    expect(body['orders']).toHaveLength(2);
    const cursor = { acceptedAt: anArchivedOrder().acceptedAt, orderId: 'b' };
    const next = `?item_id=101&limit=2&cursor=${cursor.acceptedAt}.b`;
    expect(body['next']).toBe(`/operator/orders${next}`);
    await search(next);
    expect(fake.asked.at(-1)).toMatchObject({ itemId: '101', limit: 3, cursor });
  });

  test.each([
    ['?limit=0', '/limit'],
    ['?limit=501', '/limit'],
    ['?status=lost', '/status'],
    ['?reason=luck', '/reason'],
    ['?since=yesterday', '/since'],
    ['?cursor=yesterday', '/cursor'],
    ['?payment_id=%00', '/payment_id'],
    ['?format=xml', '/format'],
    ['?colour=red', '/colour'],
    ['?format=csv&limit=5', '/limit'],
  ])('refuses %s', async (query, path) => {
    expect(await search(query)).toMatchObject({ status: 400, body: { errors: [{ path }] } });
    expect(fake.asked).toEqual([]);
  });

  test.each(['', '?format=csv'])('while the archive is away gets 503: %j', async (query) => {
    fake.answers.isAway = true;
    const answer = await search(query);
    expect([answer.status, problemType(answer)]).toEqual([503, 'dependency-unavailable']);
  });

  test('without an archive says that there is none', async () => {
    const without = await openOperatorGateway();
    const answer = await without.ask('GET', '/orders').finally(without.close);
    expect([answer.status, problemType(answer)]).toEqual([404, 'no-archive']);
  });
});

describe('an export', () => {
  test('is CSV that no spreadsheet takes for formulas', async () => {
    fake.answers.orders = [
      anArchivedOrder({ paymentId: '=1+1,"x"\n' }),
      anArchivedOrder({ status: 'queued', paymentId: undefined, finishedAt: undefined }),
      anArchivedOrder({ paymentId: '@ch' }),
    ];
    const response = await read('?format=csv');
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    expect(response.headers.get('content-disposition')).toContain('orders.csv');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    const begin = 'order-1,req-1,101,u1,1,1000,USD';
    const times = '2026-01-05T12:00:00.000Z,2026-01-05T12:00:00.250Z,0,0';
    expect(await response.text()).toBe(
      [
        HEAD,
        `${begin},confirmed,,"'=1+1,""x""\n",1,${times}`,
        `${begin},queued,,,1,2026-01-05T12:00:00.000Z,,0,0`,
        `${begin},confirmed,,'@ch,1,${times}`,
        '',
      ].join('\r\n'),
    );
  });

  test('is a JSON document a line', async () => {
    fake.answers.orders = [anArchivedOrder(), anArchivedOrder()];
    const response = await read('?format=ndjson');
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = (await response.text()).split('\n');
    expect(lines.map((line) => line && (JSON.parse(line) as unknown))).toEqual([ROW, ROW, '']);
  });

  test.each([
    ['text/csv', 'text/csv; charset=utf-8; header=present'],
    ['application/x-ndjson', 'application/x-ndjson'],
    ['application/json, */*', 'application/json'],
  ])('is what Accept: %s asks for', async (accept, type) => {
    const response = await read('', { accept });
    expect(response.headers.get('content-type')).toBe(type);
    await response.text();
  });

  test('has the head alone where nothing matches', async () => {
    expect(await (await read('?format=csv')).text()).toBe(`${HEAD}\r\n`);
    const head = await fetch(`${open.adminUrl}/operator/orders?format=csv`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${TOKENS.read}` },
    });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  /** An archive of so many orders, the first of which was accepted last. */
  const holding = (count: number) => {
    fake.archive.orders.search = ({ limit, cursor }) => {
      fake.asked.push(cursor);
      const from = count - (cursor ? Number(cursor.orderId) : count);
      const length = Math.max(0, Math.min(limit, count - from));
      const orders = Array.from({ length }, (_, i) =>
        anArchivedOrder({ orderId: String(count - from - i - 1) }),
      );
      return fake.answers.isAway ? Promise.reject(new Error('away')) : Promise.resolve(orders);
    };
  };

  test('has every order once, a page of them in memory', async () => {
    holding(2_500);
    const lines = (await (await read('?format=ndjson')).text()).trimEnd().split('\n');
    const ids = lines.map((line) => Number((JSON.parse(line) as typeof ROW).order_id));
    expect(ids).toEqual(Array.from({ length: 2_500 }, (_, i) => 2_499 - i));
    expect(fake.asked).toHaveLength(3);
  });

  test('reads no further than its client, and stops when that goes', async () => {
    holding(10_000_000);
    const { adminUrl } = open;
    const headers = { authorization: `Bearer ${TOKENS.read}` };
    const sent = request(`${adminUrl}/operator/orders?format=csv`, { headers }).end();
    const response = await new Promise<NodeJS.ReadableStream>((resolve) =>
      sent.once('response', resolve),
    );
    response.pause();
    let before = -1;
    await until(async () => {
      const same = before === fake.asked.length;
      before = fake.asked.length;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return same && before === fake.asked.length;
    });
    // What the sockets take, of some 2,000 MB.
    expect(before).toBeLessThan(200);
    response.resume();
    await until(() => fake.asked.length > before + 5);
    sent.destroy();
    await until(async () => {
      before = fake.asked.length;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return before === fake.asked.length;
    });
    expect(open.logged.filter(({ msg }) => msg === 'an export was cut off')).toEqual([]);
  });

  test('is cut off when the archive goes away, and says so', async () => {
    holding(10_000_000);
    const response = await read('?format=csv');
    fake.answers.isAway = true;
    await expect(response.text()).rejects.toThrow();
    await until(() => open.logged.some(({ msg }) => msg === 'an export was cut off'));
  });
});
