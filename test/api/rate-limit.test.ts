import { request } from 'node:http';
import { loadApiConfig } from '../../platform/config';
import { openGateway, PURCHASE, type OpenGateway } from './open-gateway';

let open: OpenGateway;
afterEach(() => open.close());

/** A gateway whose limits and proxies come from the environment, as those of the process do. */
async function openLimited(env: Record<string, string>, units = 50) {
  const { rateLimit, trustedProxies } = loadApiConfig({
    REDIS_ADDR: 'x:1',
    KAFKA_ADDR: 'x:1',
    TEMPORAL_ADDRESS: 'x:1',
    PAYMENT_URL: 'http://x:1',
    RATE_LIMIT_SECONDS: '60',
    ...env,
  });
  open = await openGateway({ units, change: () => ({ rateLimit, trustedProxies }) });
}

interface Ask {
  readonly user_id?: string;
  readonly item_id?: string;
  readonly request_id?: string;
  /** The X-Forwarded-For. */
  readonly by?: string | undefined;
  /** The end of the loopback network from which the connection comes. */
  readonly from?: string;
}

let lastId = 0;

/** Buys and returns status, body and Retry-After. */
function ask({ by, from = '127.0.0.1', ...fields }: Ask = {}) {
  const body = JSON.stringify({ ...PURCHASE, request_id: `r${++lastId}`, ...fields });
  const headers = { 'content-type': 'application/json', ...(by && { 'x-forwarded-for': by }) };
  return new Promise<{ status: number; body: Record<string, unknown>; retryAfter: number }>(
    (resolve, reject) => {
      request(
        `${open.url}/buy`,
        { method: 'POST', headers, localAddress: from, agent: false },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => {
            resolve({
              status: response.statusCode ?? 0,
              body: JSON.parse(text) as Record<string, unknown>,
              retryAfter: Number(response.headers['retry-after']),
            });
          });
        },
      )
        .on('error', reject)
        .end(body);
    },
  );
}

async function statuses(...asks: Ask[]): Promise<number[]> {
  const all: number[] = [];
  for (const one of asks) all.push((await ask(one)).status);
  return all;
}

describe('POST /buy of a client that asks too often', () => {
  beforeEach(() => openLimited({ RATE_LIMIT_REQUESTS: '2' }));

  test('is refused with the time to wait, and touches nothing', async () => {
    await statuses({}, {});
    const before = open.stock.snapshot();
    const { status, body, retryAfter } = await ask({ request_id: 'c' });
    expect(status).toBe(429);
    expect(body).toMatchObject({ type: '/problems/rate-limited', request_id: 'c' });
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(60);
    expect(open.stock.snapshot()).toBe(before);
    expect(open.publisher.records).toHaveLength(2);
  });

  test('is counted also for repetitions of one request', async () => {
    const same = { request_id: 'a' };
    expect(await statuses(same, same, same)).toEqual([202, 409, 429]);
  });

  test('is refused under whatever names it invents', async () => {
    const names = ['x1', 'x2', 'x3', 'x4'].map((user_id) => ({ user_id }));
    expect(await statuses(...names)).toEqual([202, 202, 429, 429]);
  });

  test('takes nothing from the buyer whose name it writes', async () => {
    const forged = { user_id: 'dave', item_id: 'no-such', from: '127.0.0.2' };
    expect(await statuses(forged, forged, forged)).toEqual([404, 404, 429]);
    expect(await statuses({ user_id: 'dave' })).toEqual([202]);
  });

  test('cannot help itself with a forged X-Forwarded-For', async () => {
    const forged = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((by) => ({ by }));
    expect(await statuses(...forged)).toEqual([202, 202, 429]);
  });

  test('shows in the metrics', async () => {
    await statuses({}, {}, {});
    const metrics = await (await fetch(`${open.adminUrl}/metrics`)).text();
    expect(metrics).toContain('flash_sale_buys_total{answer="rate-limited"} 1');
  });
});

describe('behind a trusted proxy', () => {
  beforeEach(() =>
    openLimited({ RATE_LIMIT_REQUESTS: '1', TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8,fd00::/8' }),
  );

  test('each forwarded address has its own share', async () => {
    const asks = ['192.0.2.1', '192.0.2.2', '192.0.2.1'].map((by) => ({ by }));
    expect(await statuses(...asks)).toEqual([202, 202, 429]);
  });

  test('what a client writes before the address that the proxy adds counts for nothing', async () => {
    const asks = ['198.51.100.1', '198.51.100.2, junk'].map((made) => ({
      by: `${made}, 192.0.2.1, 10.1.2.3`,
    }));
    expect(await statuses(...asks)).toEqual([202, 429]);
  });

  test.each([
    ['of one /64 network', '2001:db8:1:2::1', '2001:0DB8:1:2:ffff::9', 429],
    ['of two networks', '2001:db8:1:2::1', '2001:db8:1:3::1', 202],
    ['with ports', '192.0.2.1:1234', '192.0.2.1:4321', 429],
    ['with brackets', '[2001:db8::1]:1234', '[2001:db8::1]', 429],
    ['of IPv4, once in the form of IPv6', '192.0.2.1', '::ffff:192.0.2.1', 429],
    ['of IPv6 with a dotted end', '64:ff9b::192.0.2.1', '64:ff9b:0:0:1::2', 429],
    ['of which one is no address', 'unknown', 'also-unknown', 429],
  ])('addresses %s', async (_, first, second, status) => {
    expect(await statuses({ by: first }, { by: second })).toEqual([202, status]);
  });

  test('the shop’s own server, which forwards for nobody, is not limited', async () => {
    expect(await statuses({}, {}, {})).toEqual([202, 202, 202]);
  });

  test('a client that comes past the proxy is known by its own address', async () => {
    const past = ['192.0.2.1', '192.0.2.2'].map((by) => ({ by, from: '127.0.0.2' }));
    expect(await statuses(...past)).toEqual([202, 429]);
  });
});

describe('a limit for each item', () => {
  test('refuses a client the item of which it asks too often, and no other', async () => {
    await openLimited({ RATE_LIMIT_ITEM_REQUESTS: '1' });
    const other = { item_id: 'no-such' };
    expect(await statuses({}, {}, other, other)).toEqual([202, 429, 404, 429]);
  });

  test('holds beside the limit of all requests, which invented items do not evade', async () => {
    await openLimited({ RATE_LIMIT_ITEM_REQUESTS: '1', RATE_LIMIT_REQUESTS: '2' });
    const asks = ['101', 'x1', 'x2'].map((item_id) => ({ item_id }));
    expect(await statuses(...asks)).toEqual([202, 404, 429]);
  });
});

test('without a limit a client may ask as often as it likes', async () => {
  await openLimited({});
  expect(new Set(await statuses(...Array<Ask>(40).fill({})))).toEqual(new Set([202]));
});
