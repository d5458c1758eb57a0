import { Redis } from 'ioredis';
import { createLogger } from '../../platform/logger';
import { watchRedisMemory, type RedisMemory } from '../../platform/redis-memory';
import { startRedis } from '../../stack/components/redis';
import type { ItemId } from '../../engine/orders/order';
import { createClaimKeeper } from '../../engine/stock/claims';
import { claimKey } from '../../engine/stock/keys';
import { buy, openGateway, reply, type OpenGateway } from '../api/open-gateway';
import { eventually } from '../support/eventually';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { redisStockOn, type RedisStock } from '../support/redis-stock';
import { createTestComponents, type TestComponents } from '../support/secured/test-components';

/** A Redis of this file alone, whose memory it limits. */
let own: TestComponents;
let redis: Redis;
let stock: RedisStock;
let itemId: ItemId;
beforeAll(async () => {
  own = await createTestComponents('full-redis');
  const { address } = await startRedis(own.context);
  redis = new Redis(`redis://${address}`);
  stock = redisStockOn(redis);
  // So much that what connections use makes no difference.
  await redis.set('filler', Buffer.alloc(30_000_000));
}, 60_000);
beforeEach(async () => {
  itemId = anItem();
  await limitTo(0.5);
  await stock.setFree(itemId, 20);
});
afterAll(async () => {
  await redis.quit();
  await own.stop();
});

/** Sets maxmemory so that this share of it is used. */
async function limitTo(share: number): Promise<void> {
  const [, used] = /^used_memory:(\d+)/m.exec(await redis.info('memory')) ?? [];
  await redis.config('SET', 'maxmemory', Math.floor(Number(used) / share));
}
const fence = () => Date.now();

async function held(name: string) {
  const attempt = anAttempt(aPurchase({ itemId, userId: name }));
  expect(await stock.admission.claimAndHold([attempt])).toMatchObject([{ hold: { kind: 'held' } }]);
  return { order: anOrder(attempt), attempt };
}
async function queued(name: string) {
  const { order, attempt } = await held(name);
  expect(await stock.admission.queue([attempt])).toEqual([true]);
  return order;
}
async function reserved(name: string) {
  const order = await queued(name);
  expect(await stock.ledger.reserve(order, fence())).toMatchObject({ kind: 'reserved' });
  return order;
}

describe('a full Redis', () => {
  test('lets every order under way come to its end', async () => {
    const { admission, ledger } = stock;
    const acknowledged = await held('ann');
    const refused = await held('bob');
    const waiting = [await queued('cid'), await queued('dan'), await queued('eve')] as const;
    const paid = await reserved('fay');
    const declined = await reserved('gus');
    await limitTo(1.1);
    await expect(redis.set('any', 1)).rejects.toThrow('OOM');
    // As after a restart of Redis: no script is cached.
    await redis.script('FLUSH');

    expect(await admission.queue([acknowledged.attempt])).toEqual([true]);
    await admission.undo([{ ...refused.attempt, undoHold: true, dropClaim: true }]);
    expect(await ledger.reserve(waiting[0], fence())).toMatchObject({ kind: 'reserved' });
    expect(await ledger.cancel(waiting[1])).toMatchObject({ kind: 'cancelled' });
    await ledger.abandon({ ...waiting[2], reason: 'request-id-reused' });
    const payment = { generation: 1, fence: fence(), paymentId: 'p' };
    expect(await ledger.confirm({ ...paid, ...payment })).toMatchObject({ kind: 'sold' });
    const release = { order: declined, fence: fence(), reason: 'payment-unknown' } as const;
    expect(await ledger.release(release)).toMatchObject({ kind: 'released', owed: [1] });
    await ledger.resolveCharge({ ...declined, generation: 1 });
    expect((await ledger.findOrder(declined.requestId))?.entry.unresolvedCharges).toEqual([]);
    expect(await stock.countsOf(itemId)).toEqual({
      free: 17,
      held: 0,
      queued: 1,
      reserved: 1,
      sold: 1,
      supply: 20,
    });
  });

  test('keeps the claims of accepted orders, without which ingest commits nothing', async () => {
    const logger = createLogger('test', 'silent');
    const claims = createClaimKeeper(redis, 60_000, logger);
    const orders = [anOrder(), anOrder()] as const;
    await redis.hset(claimKey(orders[0].requestId), 'written', 'by hand');
    await limitTo(1.1);
    await claims.keepClaims(orders);
    expect(await redis.get(claimKey(orders[1].requestId))).toContain(orders[1].fingerprint);
  });

  test('refuses a hold for certain, and leaves no claim', async () => {
    const attempt = anAttempt(aPurchase({ itemId }));
    // Between the claim, which still has room, and the hold.
    await limitTo(1.1);
    await redis.del(claimKey(attempt.requestId));
    const [verdict] = await stock.admission.claimAndHold([attempt]);
    expect(verdict).toBeInstanceOf(Error);
    expect(await redis.exists(claimKey(attempt.requestId))).toBe(0);
    expect(await stock.countsOf(itemId)).toMatchObject({ free: 20, held: 0 });
  });
});

describe('a gateway before a Redis that fills up', () => {
  let memory: RedisMemory;
  let open: OpenGateway;
  const lines: string[] = [];
  beforeAll(async () => {
    const logger = createLogger('test', 'silent');
    for (const level of ['error', 'warn', 'info'] as const) {
      logger[level] = (_fields: object, text?: string) => lines.push(text ?? '');
    }
    memory = watchRedisMemory(redis, logger);
    open = await openGateway({
      change: () => ({ admission: stock.admission, ledger: stock.ledger, redisMemory: memory }),
    });
  });
  afterAll(async () => {
    memory.stop();
    await open.close();
  });
  let count = 0;
  const buyOne = () => buy(open, { item_id: itemId, request_id: `${itemId}-${count++}` });
  const answers = (status: number) =>
    eventually(`a purchase gets ${status}`, async () => (await buyOne()).status === status, 2_000);

  test('stops taking holds while there is room for the others, says so, and goes on when there is room again', async () => {
    expect((await buyOne()).status).toBe(202);
    await limitTo(0.93);
    await eventually('it is noticed', () => memory.isNearlyFull(), 1_000);
    const before = await stock.countsOf(itemId);
    const refused = await buyOne();
    expect([refused.status, refused.body]).toMatchObject([
      503,
      { type: '/problems/not-accepted', detail: expect.stringContaining('nearly full') as string },
    ]);
    expect(await stock.countsOf(itemId)).toEqual(before);
    const ready = await reply(await fetch(`${open.url}/readyz`));
    expect([ready.status, ready.body]).toMatchObject([
      200,
      { ready: true, warnings: [expect.stringMatching(/^Redis at .* is nearly full/)] },
    ]);
    const metrics = await (await fetch(`${open.adminUrl}/metrics`)).text();
    expect(metrics).toContain('flash_sale_faults_total{what="Redis is nearly full"} 1');
    expect(metrics).toMatch(/flash_sale_redis_memory_share\{addr="[^"]+"\} 0\.9/);

    // Between the two bounds it stays as it is.
    await limitTo(0.87);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect((await buyOne()).status).toBe(503);
    await limitTo(0.8);
    await answers(202);
    await limitTo(0.87);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect((await buyOne()).status).toBe(202);
    expect(lines).toEqual([
      'Redis is nearly full: no purchases are accepted',
      'Redis has room again: purchases are accepted',
    ]);
  });

  test('answers 503 also before it is noticed', async () => {
    await limitTo(1.1);
    const { status, body } = await buyOne();
    expect([status, body['type']]).toEqual([503, '/problems/not-accepted']);
    await limitTo(0.5);
    await answers(202);
  });

  test('warns of a Redis without a limit', async () => {
    await redis.config('SET', 'maxmemory', 0);
    await eventually('it is said', () =>
      lines.some((line) => line.startsWith('maxmemory of Redis is 0')),
    );
    expect((await buyOne()).status).toBe(202);
  });
});
