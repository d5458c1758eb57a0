import type { FindItem } from '../../api/routes/order-lookup';
import { buy, ITEM, openGateway, reply, type OpenGateway } from './open-gateway';

let open: OpenGateway;
/** The ids that Temporal was asked for. */
let asked: string[];
/** What Temporal answers. */
let temporal: FindItem;

beforeEach(async () => {
  asked = [];
  temporal = () => Promise.resolve(undefined);
  open = await openGateway({
    change: ({ stock }) => ({
      findItem: (requestId) => {
        asked.push(requestId);
        return temporal(requestId);
      },
      claim: ({ requestId, itemId, fingerprint }) => {
        stock.claim(requestId, `${fingerprint}|${itemId}`);
        return Promise.resolve();
      },
    }),
  });
});
afterEach(() => open.close());

const get = async (path: string) => reply(await fetch(open.url + path));
const del = async (path: string) => reply(await fetch(open.url + path, { method: 'DELETE' }));
const statusesOf = async (answers: Promise<{ status: number }>[]) =>
  (await Promise.all(answers)).map(({ status }) => status);

/** An order whose gateway has died before it prolonged the claim, or that is older than its claim. */
async function anOrderWithoutClaim() {
  await buy(open);
  open.stock.dropClaim('req-1');
  temporal = () => Promise.resolve(ITEM);
}

describe('an order without a claim', () => {
  test('is found by its run, and by its claim from then on', async () => {
    await anOrderWithoutClaim();
    open.stock.force('req-1', { state: 'sold' });
    expect(await get('/orders/req-1')).toMatchObject({ status: 200, body: { item_id: ITEM } });
    expect(await get('/orders/req-1')).toMatchObject({ status: 200 });
    expect(asked).toEqual(['req-1']);
  });

  test('can be cancelled', async () => {
    await anOrderWithoutClaim();
    expect(await del('/orders/req-1?user_id=u1')).toMatchObject({ status: 200 });
  });

  test('can be followed', async () => {
    await anOrderWithoutClaim();
    open.stock.force('req-1', { state: 'sold' });
    const events = await fetch(`${open.url}/orders/req-1/events`);
    expect(await events.text()).toContain('"status":"confirmed"');
  });

  test('is found though a rejected request has left its claim behind', async () => {
    await anOrderWithoutClaim();
    open.stock.claim('req-1', 'other|102');
    expect(await get('/orders/req-1')).toMatchObject({ status: 200, body: { item_id: ITEM } });
  });
});

describe('while Temporal gives no answer', () => {
  beforeEach(() => {
    temporal = () => Promise.reject(new Error('away'));
  });

  test('an order without a claim is not called unknown', async () => {
    const { status, headers, body } = await get('/orders/req-1');
    expect([status, body['type']]).toEqual([503, '/problems/not-accepted']);
    expect(headers.get('retry-after')).toMatch(/^[123]$/);
    expect(await get('/orders/req-1/events')).toMatchObject({ status: 503 });
    expect(await del('/orders/req-1?user_id=u1')).toMatchObject({
      status: 503,
      body: { type: '/problems/outcome-unknown' },
    });
  });

  test('an order with its claim is found', async () => {
    await buy(open);
    expect(await get('/orders/req-1')).toMatchObject({ status: 200 });
    expect(asked).toEqual([]);
  });
});

describe('a crowd that asks', () => {
  test('for one unknown order costs Temporal one question', async () => {
    const answers = Array.from({ length: 100 }, () => get('/orders/none'));
    expect(new Set(await statusesOf(answers))).toEqual(new Set([404]));
    expect((await get('/orders/none')).status).toBe(404);
    expect(asked).toEqual(['none']);
  });

  test('for a thousand unknown orders costs Temporal no more than fifty questions a second', async () => {
    const startedAt = performance.now();
    let [atOnce, most] = [0, 0];
    temporal = async () => {
      most = Math.max(most, ++atOnce);
      await new Promise((resolve) => setTimeout(resolve, 5));
      atOnce -= 1;
      return undefined;
    };
    const answers = Array.from({ length: 1_000 }, (_, i) => get(`/orders/none-${i}`));
    const statuses = await statusesOf(answers);
    const seconds = Math.ceil((performance.now() - startedAt) / 1_000);
    expect(most).toBeLessThanOrEqual(8);
    expect(asked.length).toBeLessThanOrEqual(50 * (seconds + 1));
    expect(statuses.filter((status) => status === 404)).toHaveLength(asked.length);
    expect(new Set(statuses)).toEqual(new Set([404, 503]));
  });

  test('does not keep a new order from being found', async () => {
    expect((await get('/orders/req-1')).status).toBe(404);
    await buy(open);
    expect((await get('/orders/req-1')).status).toBe(200);
  });
});
