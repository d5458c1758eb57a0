import { compareOrder, type OrderFacts } from '../../../engine/reconciliation/compare-order';
import type { OrderRun } from '../../../engine/reconciliation/order-runs';
import type { LedgerEntry } from '../../../engine/orders/ledger';

const NOW = 1_700_000_600_000;
const UNITS = 2;
const LONG_AGO = NOW - 500_000;
const A_WEEK = 7 * 24 * 3_600_000;

function anEntry(fields: Partial<LedgerEntry>): LedgerEntry {
  return {
    state: 'queued',
    units: UNITS,
    userId: 'u1',
    fingerprint: 'f',
    generation: fields.state === undefined || fields.state === 'queued' ? 0 : 1,
    fence: 1,
    unresolvedCharges: [],
    priceMinor: 500,
    currency: 'USD',
    acceptedAt: LONG_AGO,
    timeline: [{ at: LONG_AGO, state: fields.state ?? 'queued' }],
    ...fields,
  };
}

const aRun = (status: OrderRun['status'], fingerprint = 'f'): OrderRun => ({
  status,
  runId: 'run',
  fingerprint,
});

function compare(facts: Partial<OrderFacts>): string[] {
  const whole: OrderFacts = {
    requestId: 'r',
    entry: undefined,
    run: undefined,
    charges: [],
    isLogRead: true,
    hasRecord: false,
    isUntold: false,
    runsKeptMs: A_WEEK,
    now: NOW,
    ...facts,
  };
  return compareOrder(whole).map(({ kind, mend }) => (mend ? `${kind}: ${mend}` : kind));
}

const charged = (generation = 1, amountMinor = UNITS * 500, currency = 'USD') => [
  { generation, charged: true, paymentId: 'p', amountMinor, currency },
];

const givenBack = (amountMinor: number) =>
  [{ kind: 'refund', id: 're_1', amountMinor, status: 'succeeded', at: NOW }] as const;

describe('an order whose ledger, workflow and charges agree', () => {
  test.each<[string, Partial<OrderFacts>]>([
    ['held under a living lease', { entry: anEntry({ state: 'held', leaseUntil: NOW + 1 }) }],
    [
      'queued a moment ago',
      { entry: anEntry({ timeline: [{ at: NOW - 1_000, state: 'queued' }] }) },
    ],
    ['queued while ingest is behind', { entry: anEntry({}), isLogRead: false }],
    ['queued with a run', { entry: anEntry({}), run: aRun('running') }],
    ['reserved with a run', { entry: anEntry({ state: 'reserved' }), run: aRun('running') }],
    [
      'sold, confirmed and charged',
      {
        entry: anEntry({ state: 'sold', paymentId: 'p' }),
        run: aRun('confirmed'),
        charges: charged(1, 1000),
      },
    ],
    [
      'sold, and given back on purpose',
      {
        entry: anEntry({ state: 'sold', returns: givenBack(UNITS * 500) }),
        charges: [{ generation: 1, charged: false }],
      },
    ],
    ['sold, and its run forgotten', { entry: anEntry({ state: 'sold' }), charges: charged() }],
    [
      'released in compensation, its refund under way',
      { entry: anEntry({ state: 'released' }), run: aRun('running'), charges: charged() },
    ],
    ['failed without an entry', { run: aRun('failed') }],
  ])('%s', (_name, facts) => {
    expect(compare(facts)).toEqual([]);
  });
});

describe('an order whose ledger, workflow and charges differ', () => {
  test.each<[string, Partial<OrderFacts>, string[]]>([
    [
      'held, lease over',
      { entry: anEntry({ state: 'held', leaseUntil: NOW - 6_000 }) },
      ['hold-expired: reclaim'],
    ],
    ['queued, no record', { entry: anEntry({}) }, ['record-lost: append-record']],
    ['reserved, no run', { entry: anEntry({ state: 'reserved' }) }, ['run-missing: start-again']],
    [
      'queued, its record read and its run gone',
      { entry: anEntry({}), hasRecord: true },
      ['run-missing: start-again'],
    ],
    [
      'queued again after a lost ledger, no run',
      { entry: anEntry({ generation: 1 }) },
      ['run-missing: start-again'],
    ],
    [
      'queued and cancelled, no run',
      { entry: anEntry({ cancelledByBuyer: true }) },
      ['run-missing: start-again'],
    ],
    [
      'queued for so long that a run may have been forgotten',
      { entry: anEntry({}), runsKeptMs: 3_600_000 },
      ['run-missing: start-again'],
    ],
    [
      'reserved, confirmed',
      { entry: anEntry({ state: 'reserved' }), run: aRun('confirmed') },
      ['workflow-over: confirm'],
    ],
    [
      'reserved, failed',
      { entry: anEntry({ state: 'reserved' }), run: aRun('failed') },
      ['workflow-over: give-up'],
    ],
    [
      'reserved, cancelled',
      { entry: anEntry({ state: 'reserved' }), run: aRun('cancelled') },
      ['workflow-over: give-up'],
    ],
    [
      'queued, terminated',
      { entry: anEntry({}), run: aRun('ended-from-outside') },
      ['workflow-over: start-again'],
    ],
    ['queued, confirmed', { entry: anEntry({}), run: aRun('confirmed') }, ['workflow-over']],
    ['confirmed, no entry', { run: aRun('confirmed') }, ['entry-missing']],
    ['written by hand', { entry: { problem: 'not JSON' } }, ['entry-unreadable']],
    [
      "another order's run",
      { entry: anEntry({}), run: aRun('failed', 'other') },
      ['workflow-of-another-order'],
    ],
    [
      'sold, failed',
      { entry: anEntry({ state: 'sold' }), run: aRun('failed'), charges: charged() },
      ['outcome'],
    ],
    [
      'released, confirmed',
      { entry: anEntry({ state: 'released' }), run: aRun('confirmed') },
      ['outcome'],
    ],
    [
      'sold, not charged',
      { entry: anEntry({ state: 'sold' }), charges: [{ generation: 1, charged: false }] },
      ['charge-missing'],
    ],
    [
      'sold, and given back in part only',
      {
        entry: anEntry({ state: 'sold', returns: givenBack(UNITS * 500 - 1) }),
        charges: [{ generation: 1, charged: false }],
      },
      ['charge-missing'],
    ],
    [
      'sold for another amount',
      { entry: anEntry({ state: 'sold' }), charges: charged(1, 999) },
      ['charge-amount'],
    ],
    [
      'sold for another currency',
      { entry: anEntry({ state: 'sold' }), charges: charged(1, UNITS * 500, 'EUR') },
      ['charge-amount'],
    ],
    [
      'sold under another payment',
      { entry: anEntry({ state: 'sold', paymentId: 'q' }), charges: charged() },
      ['charge-id'],
    ],
    [
      'sold and charged twice',
      {
        entry: anEntry({ state: 'sold', generation: 2 }),
        charges: [...charged(1), ...charged(2)],
      },
      ['charge-left'],
    ],
    [
      'released, charged',
      { entry: anEntry({ state: 'released' }), run: aRun('failed'), charges: charged() },
      ['charge-left'],
    ],
  ])('%s', (_name, facts, differences) => {
    expect(compare(facts)).toEqual(differences);
  });
});
