import {
  chargeViolations,
  idleViolations,
  stockViolations,
  watchStock,
} from '../../client/invariants';
import { waitUntilIdle, type Charge } from '../../client/snapshot';
import type { LedgerEntry } from '../../engine/orders/ledger';

const counts = { free: 7, held: 0, queued: 0, reserved: 0, sold: 3, supply: 10 };

function anEntry(fields: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    state: 'sold',
    units: 3,
    userId: 'u1',
    fingerprint: 'f',
    generation: 1,
    fence: 1,
    unresolvedCharges: [],
    priceMinor: 1000,
    currency: 'USD',
    acceptedAt: 0,
    timeline: [],
    ...fields,
  };
}

const aCharge = (fields: Partial<Charge> = {}): Charge => ({
  key: 'a:1',
  status: 'captured',
  amount: 3000,
  currency: 'USD',
  ...fields,
});

describe('stock', () => {
  test.each([
    ['oversold: 13 of 10', { sold: 13, free: -3 }],
    ['less than nothing', { free: -1, sold: 11 }],
    ['does not add up', { free: 8 }],
    ['supply moved from 10', { supply: 11, free: 8 }],
  ])('%s', (what, fields) => {
    expect(stockViolations({ ...counts, ...fields }, 10).join('\n')).toContain(what);
  });

  test('is right where free and taken units make the supply', () => {
    expect(stockViolations(counts, 10)).toEqual([]);
  });

  test('is watched until the end, and each violation is told once', async () => {
    const looks = [counts, undefined, { ...counts, free: 6 }];
    const watch = watchStock(() => Promise.resolve(looks.shift() ?? { ...counts, free: 6 }), 10);
    while (looks.length > 0) await new Promise(setImmediate);
    const { violations, looks: seen } = await watch.end();
    expect(violations).toEqual([expect.stringContaining('does not add up')]);
    expect(seen).toBeGreaterThanOrEqual(2);
  });
});

describe('an idle item', () => {
  const entries = new Map([['a', anEntry()]]);

  test('has a final entry for every accepted order', () => {
    expect(idleViolations({ counts, entries }, { supply: 10, accepted: ['a'] })).toEqual([]);
    const open = new Map([...entries, ['b', anEntry({ state: 'queued' })] as const]);
    const violations = idleViolations(
      { counts, entries: open },
      { supply: 10, accepted: ['a', 'b', 'c'] },
    );
    expect(violations).toEqual([
      '1 accepted orders lost: c',
      '1 accepted orders that are not final: b',
    ]);
  });

  test('has sold what its entries say', () => {
    const none = new Map<string, LedgerEntry>();
    expect(idleViolations({ counts, entries: none }, { supply: 10, accepted: [] })).toEqual([
      'units sold by the count is 3, not 0',
      'units free again is 7, not 10',
    ]);
  });
});

describe('charges', () => {
  const entries = new Map([
    ['a', anEntry()],
    ['b', anEntry({ state: 'released' })],
  ]);

  test('are right when each sold order has one, and no other order has any', () => {
    const refunded = aCharge({ key: 'b:1', status: 'refunded' });
    expect(chargeViolations(entries, [aCharge(), refunded])).toEqual([]);
  });

  test.each([
    ['is missing', [], /a \(0 charges\)/],
    ['came twice', [aCharge(), aCharge({ key: 'a:2' })], /a \(2 charges\)/],
    ['is of another amount', [aCharge({ amount: 1 })], /a:1 \(1 USD, not 3000 USD\)/],
    ['is of another currency', [aCharge({ currency: 'EUR' })], /a:1 \(3000 EUR, not/],
    ['is of an earlier generation', [aCharge({ key: 'a:0' })], /a:0/],
    ['is of a released order', [aCharge(), aCharge({ key: 'b:1' })], /not sold: b/],
    [
      'is of an order that the ledger has lost',
      [aCharge(), aCharge({ key: 'c:1' })],
      /not sold: c/,
    ],
  ])('one that %s is a violation', (_, charges, violation) => {
    expect(chargeViolations(entries, charges).join('\n')).toMatch(violation);
  });
});

describe('waitUntilIdle', () => {
  test('looks again until nothing is under way; an error counts as under way', async () => {
    const looks: (string | Error)[] = ['queued 2', new Error('no answer'), 'queued 1'];
    const look = () => {
      const next = looks.shift();
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    };
    await waitUntilIdle(look, { withinMs: 1_000, pollMs: 1 });
    expect(looks).toEqual([]);
  });

  test('throws what is still under way after the bound', async () => {
    const waiting = waitUntilIdle(() => Promise.resolve('queued 2'), { withinMs: 10, pollMs: 1 });
    await expect(waiting).rejects.toThrow('not idle within 0.01 s: queued 2');
  });

  test('throws when nothing has moved for too long', async () => {
    const bounds = { withinMs: 60_000, stuckMs: 10, pollMs: 1 };
    const waiting = waitUntilIdle(() => Promise.resolve('queued 2'), bounds);
    await expect(waiting).rejects.toThrow('unchanged for 0.01 s: queued 2');
  });

  test('stops when the signal is aborted', async () => {
    const bounds = { withinMs: 60_000, pollMs: 5, signal: AbortSignal.timeout(20) };
    await expect(waitUntilIdle(() => Promise.resolve('queued 2'), bounds)).rejects.toThrow(/abort/);
  });
});
