import type { Redis } from 'ioredis';
import { admissionContract, CONTRACT_LEASE_MS } from '../contract/admission.contract';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let underTest: RedisStock;
let redis: Redis;

beforeAll(() => {
  underTest = openRedisStock(CONTRACT_LEASE_MS);
  redis = underTest.redis;
});

afterAll(() => redis.quit());

admissionContract('Redis', () => underTest);

describe('the claim of a request', () => {
  test('is idempotency:<request_id> with fingerprint and item, and lives ten minutes', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await underTest.admission.claimAndHold([attempt]);
    const key = `idempotency:${attempt.requestId}`;
    expect(await redis.get(key)).toBe(`${attempt.fingerprint}|${attempt.itemId}`);
    expect(await redis.pttl(key)).toBeGreaterThan(590_000);
    expect(await redis.pttl(key)).toBeLessThanOrEqual(600_000);
  });

  test('lives as long as the order is kept once the order is accepted, also if it had been dropped', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await underTest.admission.claimAndHold([attempt]);
    await redis.del(`idempotency:${attempt.requestId}`);
    await underTest.admission.queue([attempt]);
    expect(await redis.pttl(`idempotency:${attempt.requestId}`)).toBeGreaterThan(3_590_000);
  });

  test('of another request is left alone by an order that was accepted beside it', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await underTest.admission.claimAndHold([attempt]);
    await redis.set(`idempotency:${attempt.requestId}`, 'another|1', 'PX', 5_000);
    await underTest.admission.queue([attempt]);
    expect(await redis.get(`idempotency:${attempt.requestId}`)).toBe('another|1');
  });
});

describe('a stock key written by hand', () => {
  test.each(['abc', '-5', '1.5', '1e3', '99999999999999999999'])(
    'holding %p is an error that changes nothing, not a sale',
    async (value) => {
      const attempt = anAttempt(aPurchase({ itemId: anItem() }));
      await redis.set(`inventory:${attempt.itemId}`, value);
      const [verdict] = await underTest.admission.claimAndHold([attempt]);
      expect(messageOf(verdict)).toContain('BADSTOCK');
      expect(await redis.get(`inventory:${attempt.itemId}`)).toBe(value);
      expect(await redis.exists(`{inventory:${attempt.itemId}}:orders`)).toBe(0);
    },
  );

  test('with a mistyped price is an error, not a present', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await redis.hset(`{inventory:${attempt.itemId}}:sale`, 'price', '9,99');
    const [verdict] = await underTest.admission.claimAndHold([attempt]);
    expect(messageOf(verdict)).toContain('BADSALE');
    expect(await redis.get(`inventory:${attempt.itemId}`)).toBe('1');
  });
});

/** The message of an element that came as an error; anything else has none. */
function messageOf(verdict: unknown): string {
  return verdict instanceof Error ? verdict.message : '';
}
