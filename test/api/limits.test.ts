import { APPEND_DEADLINE_MS } from '../../api/buy/buy';
import { createDeadlines, createInFlight, createRateLimit } from '../../api/http/limits';
import type { UserId } from '../../engine/orders/order';
import { HOLD_LEASE_MS } from '../../engine/stock/admission';
import { until } from './open-gateway';

describe('deadlines', () => {
  test('expire in order, and not when cancelled', async () => {
    const { start } = createDeadlines(30);
    const expired: string[] = [];
    start(() => expired.push('a'));
    start(() => expired.push('b'))();
    start(() => expired.push('c'));
    await until(() => expired.length === 2);
    expect(expired).toEqual(['a', 'c']);
    start(() => expired.push('d'));
    await until(() => expired.length === 3);
  });
});

describe('what is in flight', () => {
  test('is bounded, and tells when nothing is', async () => {
    const inFlight = createInFlight(1);
    expect([inFlight.enter(), inFlight.enter()]).toEqual([true, false]);
    expect(await inFlight.whenEmpty(10)).toBe(false);
    const empty = inFlight.whenEmpty(1_000);
    inFlight.leave();
    expect(await empty).toBe(true);
    expect(await inFlight.whenEmpty(0)).toBe(true);
  });
});

describe('the deadline of an append', () => {
  test('leaves a late acknowledgement half of the lease to queue its order', () => {
    expect(APPEND_DEADLINE_MS).toBeLessThan(HOLD_LEASE_MS / 2);
  });
});

describe('the rate limit', () => {
  const allow = createRateLimit({ requests: 1, seconds: 3_600 }, 3);
  const ask = (...users: string[]) => Promise.all(users.map((user) => allow(user as UserId)));

  test('remembers a bounded number of users, however many are invented', async () => {
    await ask('ann', 'bob', 'cid');
    expect(await ask('ann', 'bob', 'cid')).not.toContain(undefined);
    await ask('invented-1', 'invented-2');
    // The two who were seen first are forgotten; the third is not.
    const [cid, ann] = [await ask('cid'), await ask('ann')];
    expect([cid, ann]).toEqual([[expect.any(Number)], [undefined]]);
  });
});
