import { createSoldOutCache, SOLD_OUT_MS } from '../../api/buy/sold-out-cache';
import type { ItemId } from '../../engine/orders/order';
import type { RequestOf } from '../../engine/stock/admission';
import { buy, ITEM, openGateway, PURCHASE, until, type OpenGateway } from './open-gateway';

describe('The sold-out cache', () => {
  let time = 0;
  const create = () => createSoldOutCache(SOLD_OUT_MS, () => time);
  const soldOut = { units: 2, final: false, askedAt: 0 };

  beforeEach(() => {
    time = 0;
  });

  test('repeats what the ledger said, and no longer than its bound', () => {
    const cache = create();
    cache.set(ITEM, soldOut);
    time = SOLD_OUT_MS - 1;
    expect(cache.get(ITEM, 2)).toEqual({ final: false });
    time = SOLD_OUT_MS;
    expect(cache.get(ITEM, 2)).toBeUndefined();
  });

  test('counts from the question, not from the answer', () => {
    const cache = create();
    time = SOLD_OUT_MS;
    cache.set(ITEM, soldOut);
    expect(cache.get(ITEM, 2)).toBeUndefined();
  });

  test('knows nothing of fewer units, or of another item', () => {
    const cache = create();
    cache.set(ITEM, soldOut);
    expect(cache.get(ITEM, 1)).toBeUndefined();
    expect(cache.get(ITEM, 3)).toEqual({ final: false });
    expect(cache.get('102' as ItemId, 2)).toBeUndefined();
  });

  test('is not set back by an answer to an earlier question', () => {
    const cache = create();
    cache.set(ITEM, { units: 5, final: true, askedAt: 10 });
    cache.set(ITEM, soldOut);
    expect(cache.get(ITEM, 2)).toBeUndefined();
    expect(cache.get(ITEM, 5)).toEqual({ final: true });
  });
});

describe('POST /buy for an item that has just been found sold out', () => {
  /** Requests that the ledger was asked to hold units for. */
  let held: string[];
  let open: OpenGateway;
  const unknown = new Error('Redis gave no reply');
  let areKnown: ((requests: readonly RequestOf[]) => (boolean | Error)[]) | undefined;

  const openWith = (soldOutMs: number) =>
    openGateway({
      units: 1,
      change: ({ stock: { admission } }) => ({
        limits: { soldOutMs },
        admission: {
          ...admission,
          claimAndHold: (attempts) => {
            held.push(...attempts.map(({ requestId }) => requestId));
            return admission.claimAndHold(attempts);
          },
          areKnown: (requests) =>
            areKnown ? Promise.resolve(areKnown(requests)) : admission.areKnown(requests),
        },
      }),
    });

  beforeEach(async () => {
    held = [];
    areKnown = undefined;
    // Far longer than a test takes, also on a busy machine.
    open = await openWith(60_000);
    await buy(open, { request_id: 'winner' });
  });

  afterEach(() => open.close());

  test('says so without asking the ledger for units, and leaves nothing behind', async () => {
    await buy(open, { request_id: 'first' });
    const before = open.stock.snapshot();
    const { status, body } = await buy(open, { request_id: 'second' });
    expect(status).toBe(409);
    expect(body).toMatchObject({ type: '/problems/sold-out', final: false, request_id: 'second' });
    expect(held).toEqual(['winner', 'first']);
    expect(open.stock.snapshot()).toBe(before);
  });

  test('still shows a repeated request its order', async () => {
    await buy(open, { request_id: 'first' });
    const { status, body } = await buy(open, { request_id: 'winner' });
    expect(status).toBe(409);
    expect(body).toMatchObject({ type: '/problems/duplicate-request', request_id: 'winner' });
  });

  test('also where the order has lost its claim', async () => {
    await buy(open, { request_id: 'first' });
    open.stock.dropClaim('winner');
    const { body } = await buy(open, { request_id: 'winner' });
    expect(body).toMatchObject({ type: '/problems/duplicate-request' });
  });

  test('still refuses another payload under the id of an order', async () => {
    await buy(open, { request_id: 'first' });
    const { status, body } = await buy(open, { request_id: 'winner', amount: 2 });
    expect(status).toBe(422);
    expect(body).toMatchObject({ type: '/problems/request-id-reused' });
  });

  test('sells again once the bound is over and units have come back', async () => {
    const brief = await openWith(50);
    await buy(brief, { request_id: 'winner' });
    await buy(brief, { request_id: 'first' });
    await brief.stock.setFree(ITEM, 1);
    await until(async () => (await buy(brief, { request_id: 'later' })).status === 202);
    await brief.close();
  });

  test('answers 503, and nothing false, when Redis does not say whether the request is known', async () => {
    await buy(open, { request_id: 'first' });
    areKnown = (requests) => requests.map(() => unknown);
    const { status, body } = await buy(open, { ...PURCHASE, request_id: 'winner' });
    expect(status).toBe(503);
    expect(body).toMatchObject({ type: '/problems/not-accepted', request_id: 'winner' });
  });
});
