import { createOrderLookup, type FindItem } from '../../api/routes/order-lookup';
import type { ItemId, RequestId } from '../../engine/orders/order';
import { createFakeStock } from '../support/fake-stock';
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
        return Promise.resolve(true);
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

describe('an id that another request has taken while its order had no claim, and that ingest has refused', () => {
  const OTHER_ITEM = '102' as ItemId;
  const reused = { state: 'released', reason: 'request-id-reused' } as const;

  test.each([
    ['shows its order', ITEM, { item_id: ITEM, status: 'queued' }],
    ['shows the refused one where there is none', undefined, { status: 'failed' }],
  ])('%s', async (_, item, shown) => {
    const taken = await openGateway({
      change: ({ stock }) => ({
        ledger: {
          ...stock.ledger,
          findOrder: async (requestId, known) => {
            const found = await stock.ledger.findOrder(requestId, known);
            if (found?.itemId !== OTHER_ITEM) return found;
            return { itemId: OTHER_ITEM, entry: { ...found.entry, ...reused } };
          },
        },
        findItem: () => Promise.resolve(item),
      }),
    });
    await taken.stock.setFree(OTHER_ITEM, 1);
    await buy(taken);
    taken.stock.dropClaim('req-1');
    expect((await buy(taken, { item_id: OTHER_ITEM })).status).toBe(202);
    const answer = await reply(await fetch(`${taken.url}/orders/req-1`));
    expect(answer).toMatchObject({ status: 200, body: shown });
    await taken.close();
  });
});

describe('while the ledger of an item is lost', () => {
  const LOST = '102' as ItemId;
  const expectUnanswered = async () => {
    expect(await get('/orders/req-1')).toMatchObject({
      status: 503,
      body: { type: '/problems/not-accepted' },
    });
    expect(await get('/orders/req-1/events')).toMatchObject({ status: 503 });
    expect(await del('/orders/req-1?user_id=u1')).toMatchObject({
      status: 503,
      body: { type: '/problems/outcome-unknown' },
    });
  };

  test('an order that has a claim is not called unknown', async () => {
    open.stock.claim('req-1', `print|${LOST}`);
    await expectUnanswered();
  });

  test('an order that has a run is not called unknown, and is found when the ledger is there again', async () => {
    temporal = () => Promise.resolve(LOST);
    await expectUnanswered();
    await open.stock.setFree(LOST, 1);
    await buy(open, { item_id: LOST });
    open.stock.dropClaim('req-1');
    expect(await get('/orders/req-1')).toMatchObject({ status: 200, body: { item_id: LOST } });
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
    const startedAt = performance.now();
    const answers = Array.from({ length: 100 }, () => get('/orders/none'));
    expect(new Set(await statusesOf(answers))).toEqual(new Set([404]));
    expect((await get('/orders/none')).status).toBe(404);
    // An answer is remembered for five seconds.
    expect(asked.length).toBeLessThanOrEqual(1 + (performance.now() - startedAt) / 5_000);
  });

  test('for a thousand unknown orders costs Temporal eight questions at once and fifty a second', async () => {
    let nowMs = 0;
    const lookUp = createOrderLookup({
      ledger: createFakeStock().ledger,
      findItem: (requestId) => {
        asked.push(requestId);
        return Promise.resolve(undefined);
      },
      errors: { report: () => undefined },
      now: () => nowMs,
    });
    const ids = Array.from({ length: 1_000 }, (_, i) => `none-${i}` as RequestId);
    const refused = {
      options: { requestId: expect.any(String) as string },
      problem: 'not-accepted',
    };
    const results = await Promise.allSettled(ids.map((id) => lookUp(id)));
    expect(asked).toHaveLength(8);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
    for (const id of ids.slice(8, 50)) expect(await lookUp(id)).toBeUndefined();
    await expect(lookUp('one-more' as RequestId)).rejects.toMatchObject(refused);
    nowMs += 1_000;
    expect(await lookUp('one-more' as RequestId)).toBeUndefined();
    expect(asked).toHaveLength(51);
  });

  test('does not keep a new order from being found', async () => {
    expect((await get('/orders/req-1')).status).toBe(404);
    await buy(open);
    expect((await get('/orders/req-1')).status).toBe(200);
  });
});
