/** Attempts that share a call of hold.lua read and write together; each has to get what it would get alone. */
import fc from 'fast-check';
import type { ItemId } from '../../engine/orders/order';
import type { Attempt, Verdict } from '../../engine/stock/admission';
import { itemKeys } from '../../engine/stock/keys';
import { readEvents } from '../../engine/stock/stored-entry';
import { endLeases } from '../support/end-leases';
import { propertyRuns } from '../support/property-runs';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

const RUNS = propertyRuns(150);

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

/** Few requests, users and units, so that they meet; a request has now and then another payload or another token. */
const drawn = fc.record({
  request: fc.nat(4),
  user: fc.constantFrom('ann', 'bob'),
  amount: fc.integer({ min: 1, max: 3 }),
  token: fc.constantFrom('first', 'second'),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

const round = fc.record({
  free: fc.nat(7),
  limit: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  /** Held before, with leases that are over by now. */
  lapsed: fc.array(drawn, { maxLength: 3 }),
  queued: fc.array(drawn, { maxLength: 2 }),
  attempts: fc.array(drawn, { minLength: 1, maxLength: 12 }),
});
type Round = typeof round extends fc.Arbitrary<infer T> ? T : never;

const attemptOn =
  (itemId: ItemId) =>
  ({ request, user, amount, token }: Drawn): Attempt =>
    anAttempt(
      aPurchase({ itemId, requestId: `${itemId}-${request}`, userId: user, amount }),
      token,
    );

/** Plays the round on an item of its own. What comes back names neither the item nor a time. */
async function play(
  { free, limit, lapsed, queued, attempts }: Round,
  admit: (attempts: Attempt[]) => Promise<readonly (Verdict | Error)[]>,
) {
  const itemId = anItem();
  const toAttempt = attemptOn(itemId);
  await stock.setFree(itemId, free);
  if (limit !== undefined) await stock.setSale(itemId, { unitsPerUser: limit });
  for (const one of queued.map(toAttempt)) {
    await stock.admission.claimAndHold([one]);
    await stock.admission.queue([one]);
  }
  for (const one of lapsed.map(toAttempt)) await stock.admission.claimAndHold([one]);
  await endLeases(stock.redis, itemId);

  const answers = await admit(attempts.map(toAttempt));
  const [, orders = '', counts = '', buyers = '', leases = ''] = itemKeys(itemId);
  return withoutNames(itemId, {
    answers,
    free: await stock.redis.get(`inventory:${itemId}`),
    counts: await stock.redis.hgetall(counts),
    buyers: await stock.redis.hgetall(buyers),
    entries: Object.entries(await stock.redis.hgetall(orders))
      .map(([id, entry]): [string, unknown] => [id, JSON.parse(entry)])
      .sort(),
    leases: (await stock.redis.zrange(leases, '0', '-1')).sort(),
    events: await readEvents(stock.redis, itemId),
  });
}

function withoutNames(itemId: ItemId, outcome: object): unknown {
  const text = JSON.stringify(outcome, (_, value: unknown) =>
    value instanceof Error ? { error: value.message } : value,
  );
  return JSON.parse(
    text
      .replaceAll(itemId, 'item')
      .replaceAll(/("(?:lease_?until|accepted_?at|at|revision|retryAfterMs)":)\d{4,}/gi, '$1"time"')
      .replaceAll(/@\d+/g, '@time')
      // It is made of the item, too.
      .replaceAll(/"fingerprint":"[^"]+"/g, '"fingerprint":"of it"'),
  );
}

test('attempts of one call get what each would get alone, and leave the same behind', async () => {
  const { admission } = stock;
  await fc.assert(
    fc.asyncProperty(round, async (one) => {
      const together = await play(one, (attempts) => admission.claimAndHold(attempts));
      const alone = await play(one, async (attempts) => {
        const verdicts: (Verdict | Error)[] = [];
        for (const attempt of attempts) verdicts.push(...(await admission.claimAndHold([attempt])));
        return verdicts;
      });
      expect(together).toEqual(alone);
    }),
    RUNS,
  );
}, 3_600_000);
