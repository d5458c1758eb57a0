import { APPEND_DEADLINE_MS } from '../../api/buy/buy';
import { createDeadlines, createInFlight, createRateLimit } from '../../api/http/limits';
import type { ItemId } from '../../engine/orders/order';
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
  const seconds = 3_600;
  const item = (name: string) => name as ItemId;

  test('remembers a bounded number of clients, however many there are', async () => {
    const allow = createRateLimit({ requests: 1, itemRequests: undefined, seconds }, 3);
    const ask = (...clients: string[]) =>
      Promise.all(clients.map((client) => allow(client, item('101'))));
    await ask('a', 'b', 'c');
    expect(await ask('a', 'b', 'c')).not.toContain(undefined);
    await ask('new-1', 'new-2');
    // The two that were seen first are forgotten; the third is not.
    const [c, a] = [await ask('c'), await ask('a')];
    expect([c, a]).toEqual([[expect.any(Number)], [undefined]]);
  });

  test('remembers a bounded number of items, however many are invented', async () => {
    const allow = createRateLimit({ requests: undefined, itemRequests: 1, seconds }, 2);
    await allow('a', item('101'));
    expect(await allow('a', item('101'))).toEqual(expect.any(Number));
    await allow('a', item('invented-1'));
    await allow('a', item('invented-2'));
    expect(await allow('a', item('101'))).toBeUndefined();
  });
});
