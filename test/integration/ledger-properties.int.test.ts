import fc from 'fast-check';
import { ownedUnits } from '../../engine/orders/ledger';
import type { Order } from '../../engine/orders/order';
import { RETURN_STATUSES } from '../../engine/orders/sale-return';
import { createAfterSaleLedger } from '../../engine/stock/after-sale';
import { propertyRuns } from '../support/property-runs';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

/** 300 walks take about ten seconds on two cores. */
const RUNS = propertyRuns(300);
const LIMIT = 3;

let stock: RedisStock;
beforeAll(() => {
  // No lease at all: every hold may be taken over or reclaimed by whoever comes next.
  stock = openRedisStock(0);
});
afterAll(() => stock.redis.quit());

/** One call of one order; `fence` and `generation` are drawn freely, as late and repeated calls would bring them. */
const command = fc.record({
  verb: fc.constantFrom(
    'hold',
    'undo',
    'reject',
    'queue',
    'reserve',
    'reserve-first',
    'confirm',
    'release',
    'resolve-charge',
    'cancel',
    'abandon',
    'note-returns',
    'restock-sale',
    'restock',
    'vanish',
  ),
  order: fc.nat(3),
  fence: fc.integer({ min: 1, max: 12 }),
  generation: fc.integer({ min: 1, max: 3 }),
  units: fc.nat(4),
});
/** The first start of a record of any age. */
const FIRST = { start: 'first', runId: 'run', acceptedMsMax: Number.MAX_SAFE_INTEGER } as const;

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** Four orders of two users: 1 and 2 units each. */
function someOrders(): Order[] {
  const itemId = anItem();
  return [1, 2, 1, 2].map((amount, i) =>
    anOrder(anAttempt(aPurchase({ itemId, amount, userId: i < 2 ? 'ann' : 'bob' }))),
  );
}

async function run(one: Command, orders: Order[]): Promise<unknown> {
  const order = orders[one.order];
  if (!order) throw new Error('no such order');
  const attempt = anAttempt(order, order.orderId);
  const generation = { ...order, generation: one.generation };
  switch (one.verb) {
    case 'hold':
      return stock.admission.claimAndHold([attempt]);
    case 'undo':
      return stock.admission.undo([{ ...attempt, undoHold: true, dropClaim: false }]);
    case 'reject':
      return stock.admission.reject([attempt]);
    case 'queue':
      return stock.admission.queue([attempt]);
    case 'reserve':
      return stock.ledger.reserve(order, one.fence);
    case 'reserve-first':
      return stock.ledger.reserve(order, one.fence, FIRST);
    case 'confirm':
      return stock.ledger.confirm({ ...generation, fence: one.fence, paymentId: 'p' });
    case 'release':
      return stock.ledger.release({ order, fence: one.fence, reason: 'sale-lost' });
    case 'resolve-charge':
      return stock.ledger.resolveCharge(generation);
    case 'cancel':
      return stock.ledger.cancel(order);
    case 'abandon':
      return stock.ledger.abandon({ ...attempt, reason: 'request-id-reused' });
    case 'note-returns':
      return createAfterSaleLedger(stock.redis).noteReturns(saleOf(order), [
        {
          kind: 'refund',
          id: `re_${one.generation}`,
          amountMinor: 1,
          at: 1,
          status: RETURN_STATUSES.refund[one.units % 3] ?? 'failed',
        },
      ]);
    case 'restock-sale':
      return createAfterSaleLedger(stock.redis).restockSale({
        ...saleOf(order),
        operation: `refund/${one.generation}`,
        units: 1 + (one.units % 2),
        by: 'ann',
        why: 'a walk',
      });
    case 'restock':
      return stock.setFree(order.itemId, one.units);
    case 'vanish':
      return stock.redis.del(`inventory:${order.itemId}`);
  }
}

function saleOf({ itemId, requestId, orderId }: Order) {
  if (orderId === undefined) throw new Error('no order id');
  return { itemId, requestId, orderId };
}

/** Everything the ledger knows of an item except the stream of what happened. */
async function snapshot(orders: Order[]) {
  const itemId = orders[0]?.itemId ?? anItem();
  const { redis } = stock;
  const key = (name: string) => `{inventory:${itemId}}:${name}`;
  return {
    free: await redis.get(`inventory:${itemId}`),
    counts: await redis.hgetall(key('counts')),
    buyers: await redis.hgetall(key('buyers')),
    orders: await redis.hgetall(key('orders')),
  };
}

async function expectBalance(orders: Order[]) {
  const { free, counts, buyers, orders: entries } = await snapshot(orders);
  const number = (field: string) => Number(counts[field] ?? 0);
  const byState: Record<string, number> = {};
  const byUser: Record<string, number> = {};
  for (const raw of Object.values(entries)) {
    const { state, units, user, restocked } = JSON.parse(raw) as {
      state: string;
      units: number;
      user: string;
      restocked?: Record<string, number>;
    };
    byState[state] = (byState[state] ?? 0) + units;
    const owned = state === 'released' ? 0 : ownedUnits({ units, ...(restocked && { restocked }) });
    expect(owned).toBeGreaterThanOrEqual(0);
    if (owned > 0) byUser[user] = (byUser[user] ?? 0) + owned;
  }
  for (const state of ['held', 'queued', 'reserved', 'sold']) {
    expect([state, number(state)]).toEqual([state, byState[state] ?? 0]);
  }
  const total =
    number('free') + number('held') + number('queued') + number('reserved') + number('sold');
  expect(total).toBe(number('supply'));
  expect(Number(free)).toBeGreaterThanOrEqual(0);
  expect(Object.fromEntries(Object.entries(buyers).map(([user, n]) => [user, Number(n)]))).toEqual(
    byUser,
  );
  for (const units of Object.values(byUser)) expect(units).toBeLessThanOrEqual(LIMIT);
}

describe(`the ledger under random commands (seed ${RUNS.seed})`, () => {
  test(`balances after every step, keeps every limit, does nothing twice, revives nothing that its buyer has cancelled and tries nothing again from the log, in ${RUNS.numRuns} walks`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 25 }), async (walk) => {
        const orders = someOrders();
        const itemId = orders[0]?.itemId ?? anItem();
        await stock.setFree(itemId, 4);
        await stock.setSale(itemId, { unitsPerUser: LIMIT });
        const cancelled = new Set<string>();
        for (const one of walk) {
          const { requestId = '' } = orders[one.order] ?? {};
          const ended = stateIn(await snapshot(orders), requestId) === 'released';
          const answer = await run(one, orders);
          if (ended && one.verb === 'reserve-first') {
            expect(stateIn(await snapshot(orders), requestId)).toBe('released');
          }
          if (isCancelled(answer)) cancelled.add(orders[one.order]?.requestId ?? '');
          // A change from outside is recorded by the next script, so only scripts are followed by a balance.
          if (one.verb === 'restock' || one.verb === 'vanish') continue;
          await expectBalance(orders);
          const before = await snapshot(orders);
          await run(one, orders);
          expect(withoutLeases(await snapshot(orders))).toEqual(withoutLeases(before));
          for (const requestId of cancelled) {
            expect(entryIn(before, requestId)).toMatchObject({
              state: 'released',
              reason: 'cancelled',
              cancelled_by_buyer: true,
            });
          }
        }
        await stock.redis.del(...(await keysOf(itemId, orders)));
      }),
      RUNS,
    );
  }, 3_600_000);
});

/** Whether the buyer was told that the order is cancelled. */
function isCancelled(answer: unknown): boolean {
  return (
    typeof answer === 'object' &&
    answer !== null &&
    'entry' in answer &&
    'kind' in answer &&
    answer.kind === 'cancelled'
  );
}

function stateIn(state: Awaited<ReturnType<typeof snapshot>>, requestId: string): unknown {
  return (entryIn(state, requestId) as { state?: unknown } | null)?.state;
}

function entryIn({ orders }: Awaited<ReturnType<typeof snapshot>>, requestId: string): unknown {
  return JSON.parse(orders[requestId] ?? 'null');
}

/** A repeated hold renews its own lease: the only thing that may differ. */
function withoutLeases(state: Awaited<ReturnType<typeof snapshot>>) {
  const orders = Object.entries(state.orders).map(([id, raw]) => {
    const entry = { ...(JSON.parse(raw) as Record<string, unknown>), lease_until: 'any' };
    return [id, entry] as const;
  });
  return { ...state, orders: Object.fromEntries(orders) };
}

async function keysOf(itemId: string, orders: Order[]): Promise<string[]> {
  const keys = await stock.redis.keys(`*inventory:${itemId}*`);
  return [...keys, ...orders.map((order) => `idempotency:${order.requestId}`)];
}
