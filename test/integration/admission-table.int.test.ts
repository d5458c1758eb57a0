import { buy, PURCHASE, type OpenGateway } from '../api/open-gateway';
import type { ItemId, Purchase } from '../../engine/orders/order';
import { claimKey, claimValue, FINISHED_MARK, itemKeys } from '../../engine/stock/keys';
import { anArchivedOrder, createFakeArchive } from '../support/fake-archive';
import { openGatewayOnRedis } from '../support/gateway-on-redis';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import type { RedisStock } from '../support/redis-stock';

/** The table of admission, cell by cell, through a gateway on the real Redis; only the log is a fake. */
let stock: RedisStock;
let open: OpenGateway;
let close: () => Promise<void>;
const fake = createFakeArchive();
beforeAll(async () => {
  ({ stock, open, close } = await openGatewayOnRedis({ archive: fake.archive }));
});
afterAll(() => close());

const SUPPLY = 3;
const IN_AN_HOUR = Date.now() + 3_600_000;

const hold = async (purchase: Purchase) => {
  const attempt = anAttempt(purchase);
  await stock.admission.claimAndHold([attempt]);
  return attempt;
};

/** What brings the ledger to each answer, and what the buyer is told unless the id is claimed by another request. */
const HOLDS = {
  held: { prepare: () => Promise.resolve(), status: 202, told: { status: 'queued' } },
  'in-progress': {
    prepare: hold,
    status: 409,
    told: { type: '/problems/request-in-progress' },
  },
  exists: {
    prepare: async (purchase: Purchase) => {
      await stock.admission.queue([await hold(purchase)]);
    },
    status: 409,
    told: { type: '/problems/duplicate-request', order: { status: 'queued' } },
  },
  mismatch: {
    prepare: (purchase: Purchase) => hold(aPurchase({ ...purchase, userId: 'another' })),
    status: 422,
    told: { type: '/problems/request-id-reused' },
  },
  'sold-out': {
    prepare: ({ itemId }: Purchase) => stock.setFree(itemId, 0),
    status: 409,
    told: { type: '/problems/sold-out', final: true },
  },
  limit: {
    prepare: async ({ itemId, userId }: Purchase) => {
      await stock.setSale(itemId, { unitsPerUser: 1 });
      await hold(aPurchase({ itemId, userId }));
    },
    status: 409,
    told: { type: '/problems/purchase-limit', units_per_user: 1, owned: 1 },
  },
  'closed: not open': {
    prepare: ({ itemId }: Purchase) => stock.setSale(itemId, { opensAt: IN_AN_HOUR }),
    status: 409,
    told: { type: '/problems/sale-not-open' },
  },
  'closed: over': {
    prepare: ({ itemId }: Purchase) => stock.setSale(itemId, { closesAt: 1 }),
    status: 409,
    told: { type: '/problems/sale-over' },
  },
  'unknown-item': {
    prepare: ({ itemId }: Purchase) => stock.redis.del(...itemKeys(itemId)),
    status: 404,
    told: { type: '/problems/unknown-item' },
  },
} satisfies Record<
  string,
  { prepare: (purchase: Purchase) => Promise<unknown>; status: number; told: object }
>;

/** What the claim is when the request comes. A finished order has left the ledger, and the archive has it. */
const CLAIMS = {
  finished: (purchase: Purchase) => finishedClaim(purchase),
  new: () => undefined,
  same: (purchase: Purchase) => claimValue(anAttempt(purchase)),
  other: ({ itemId }: Purchase) => `another|${itemId}`,
};
const finishedClaim = (purchase: Purchase) => `${claimValue(anAttempt(purchase))}${FINISHED_MARK}`;
type Claim = keyof typeof CLAIMS;
type Hold = keyof typeof HOLDS;

const CELLS = (Object.keys(CLAIMS) as Claim[]).flatMap((claim) =>
  (Object.keys(HOLDS) as Hold[]).map((answer) => [claim, answer] as const),
);

const FINISHED = {
  status: 409,
  told: { type: '/problems/duplicate-request', order: { status: 'confirmed' } },
};

/** What the claim must be afterwards: nobody's when the request was rejected and had made it. */
function claimAfter(claim: Claim, answer: Hold, purchase: Purchase): string | null {
  if (claim === 'other' || claim === 'finished') return CLAIMS[claim](purchase);
  const lives = answer === 'held' || answer === 'in-progress' || answer === 'exists';
  return lives || claim === 'same' ? CLAIMS.same(purchase) : null;
}

describe('the admission table', () => {
  test.each(CELLS)('a claim that is %s, and %s', async (claim, answer) => {
    const purchase = aPurchase({ itemId: anItem() });
    const { prepare, status, told } = HOLDS[answer];
    await stock.setFree(purchase.itemId, SUPPLY);
    await prepare(purchase);
    const value = CLAIMS[claim](purchase);
    if (value === undefined) await stock.redis.del(claimKey(purchase.requestId));
    else await stock.redis.set(claimKey(purchase.requestId), value, 'PX', 60_000);
    const before = await booksOf(purchase.itemId);
    fake.answers.orders = [anArchivedOrder(purchase)];

    const reply = await buyAs(purchase);
    const reused = { status: 422, told: { type: '/problems/request-id-reused' } };
    const isLive = answer === 'exists' || answer === 'mismatch';
    const archived = claim === 'finished' && !isLive;
    const expected = claim === 'other' ? reused : archived ? FINISHED : { status, told };
    expect(reply.status).toBe(expected.status);
    expect(reply.body).toMatchObject({ ...expected.told, request_id: purchase.requestId });

    const accepted = expected.status === 202;
    const taken = { free: SUPPLY - 1, queued: 1 };
    expect(await booksOf(purchase.itemId)).toEqual({ ...before, ...(accepted && taken) });
    expect(await stock.redis.get(claimKey(purchase.requestId))).toBe(
      claimAfter(claim, answer, purchase),
    );
  });
});

describe('an id that has an order', () => {
  test.each([
    ['another user', { user_id: 'another' }],
    ['another amount', { amount: 2 }],
  ])('is refused for %s, with or without its claim, and nothing is taken', async (_, other) => {
    const purchase = aPurchase({ itemId: anItem() });
    await stock.setFree(purchase.itemId, SUPPLY);
    expect((await buyAs(purchase)).status).toBe(202);
    const before = await booksOf(purchase.itemId);
    expect((await buyAs(purchase, other)).status).toBe(422);
    await stock.redis.del(claimKey(purchase.requestId));
    expect((await buyAs(purchase, other)).status).toBe(422);
    expect(await booksOf(purchase.itemId)).toEqual(before);
  });

  test('is refused for another item as long as its claim lives, and nothing is taken there', async () => {
    const purchase = aPurchase({ itemId: anItem() });
    const elsewhere = anItem();
    for (const itemId of [purchase.itemId, elsewhere]) await stock.setFree(itemId, SUPPLY);
    expect((await buyAs(purchase)).status).toBe(202);
    expect((await buyAs(purchase, { item_id: elsewhere })).status).toBe(422);
    expect(await booksOf(elsewhere)).toMatchObject({ free: SUPPLY, held: 0 });
  });

  test('is shown to its own request also when the claim has expired', async () => {
    const purchase = aPurchase({ itemId: anItem() });
    await stock.setFree(purchase.itemId, SUPPLY);
    await buyAs(purchase);
    await stock.redis.del(claimKey(purchase.requestId));
    const { status, body } = await buyAs(purchase);
    expect(status).toBe(409);
    expect(body).toMatchObject({ type: '/problems/duplicate-request', order: { amount: 1 } });
    expect(await booksOf(purchase.itemId)).toMatchObject({ free: SUPPLY - 1, queued: 1 });
  });
});

function buyAs({ userId, itemId, amount, requestId }: Purchase, other: object = {}) {
  const fields = { user_id: userId, item_id: itemId, amount, request_id: requestId };
  return buy(open, { ...PURCHASE, ...fields, ...other });
}

/** The counts of an item; for an unknown one, only that it has none. */
async function booksOf(itemId: ItemId) {
  return (await stock.ledger.item(itemId))?.counts ?? { free: 0 };
}
