import { buy, openGateway, type OpenGateway } from './open-gateway';

let open: OpenGateway;
beforeEach(async () => {
  const rateLimit = { requests: 2, seconds: 60 };
  open = await openGateway({ change: () => ({ rateLimit }) });
});
afterEach(() => open.close());

const ask = (user_id: string, request_id: string) => buy(open, { user_id, request_id });

describe('POST /buy of a user who asks too often', () => {
  test('is refused with the time to wait, and touches nothing', async () => {
    await ask('u1', 'a');
    await ask('u1', 'b');
    const before = open.stock.snapshot();
    const { status, headers, body } = await ask('u1', 'c');
    expect(status).toBe(429);
    expect(body).toMatchObject({ type: '/problems/rate-limited', request_id: 'c' });
    const seconds = Number(headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(open.stock.snapshot()).toBe(before);
    expect(open.publisher.records).toHaveLength(2);
  });

  test('is counted also for repetitions of one request', async () => {
    const statuses = [await ask('u1', 'a'), await ask('u1', 'a'), await ask('u1', 'a')];
    expect(statuses.map(({ status }) => status)).toEqual([202, 409, 429]);
  });

  test('leaves other users alone', async () => {
    await Promise.all(['a', 'b', 'c', 'd'].map((id) => ask('u1', id)));
    expect((await ask('u2', 'e')).status).toBe(202);
  });

  test('shows in the metrics', async () => {
    await Promise.all(['a', 'b', 'c'].map((id) => ask('u1', id)));
    const metrics = await (await fetch(`${open.url}/metrics`)).text();
    expect(metrics).toContain('flash_sale_buys_total{answer="rate-limited"} 1');
  });
});

test('without a limit a user may ask as often as they like', async () => {
  const unlimited = await openGateway({ units: 50 });
  const asked = Array.from({ length: 50 }, (_, i) => buy(unlimited, { request_id: `r${i}` }));
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  await unlimited.close();
  expect(new Set(statuses)).toEqual(new Set([202]));
});
