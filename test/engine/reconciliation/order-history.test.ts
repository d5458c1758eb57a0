import type { LedgerEntry } from '../../../engine/orders/ledger';
import type { ItemId, Order } from '../../../engine/orders/order';
import { createOrderHistory } from '../../../engine/reconciliation/order-history';
import type { RunHistory } from '../../../engine/reconciliation/run-history';
import { anOrder, aPurchase } from '../../support/purchases';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = 1_700_000_000_000;
const ITEM = '101' as ItemId;

const order = (requestId: string, acceptedAt: number): Order => ({
  ...anOrder(aPurchase({ itemId: ITEM, requestId })),
  acceptedAt,
});

const soldRun = (of: Order): RunHistory => ({
  order: of,
  known: { state: 'sold', generation: 1, paymentId: 'p' },
  mayHaveCharged: false,
  isOtherOrder: false,
  cancelledByBuyer: false,
  fence: 5,
  generations: new Set([1]),
  resolved: new Set(),
  finishedAt: of.acceptedAt,
});

/** A week of closed runs, and a log as old as `logSince`. */
async function restore({
  logged = [],
  withRuns = [],
  openedAgoMs,
  isAgain = false,
  logAgoMs = Infinity,
}: {
  logged?: readonly Order[];
  withRuns?: readonly Order[];
  openedAgoMs: number;
  isAgain?: boolean;
  logAgoMs?: number;
}) {
  const byId = new Map(withRuns.map((one) => [one.requestId, one]));
  const history = createOrderHistory({
    runs: {
      keptMs: () => Promise.resolve(7 * DAY),
      runIds: () => Promise.resolve(new Map([...byId.keys()].map((id) => [id, ['run']]))),
      look: () => Promise.resolve(undefined),
      history: (requestId) => Promise.resolve(soldRun(byId.get(requestId) as Order)),
    },
    readOrders: () => Promise.resolve(new Map(logged.map((one) => [one.requestId, one]))),
    readCancellations: () => Promise.resolve(new Map()),
    logReachesBackTo: (sinceMs) => Promise.resolve(NOW - logAgoMs <= sinceMs),
    now: () => NOW,
  });
  const entries = new Map<string, LedgerEntry['state']>();
  const item = { itemId: ITEM, token: 't', at: NOW - openedAgoMs, isAgain };
  const gaps = await history.restore(item, (chunk) => {
    for (const [requestId, { state }] of chunk) entries.set(requestId, state);
    return Promise.resolve();
  });
  return { gaps: gaps.map(({ kind }) => kind), entries: Object.fromEntries(entries) };
}

describe('the history of an item', () => {
  test('is complete while every run since its opening is kept, wherever the log begins', async () => {
    const [sold, waiting] = [order('sold', NOW - DAY), order('waiting', NOW - HOUR)];
    expect(
      await restore({ openedAgoMs: 2 * DAY, logAgoMs: HOUR, logged: [waiting], withRuns: [sold] }),
    ).toEqual({ gaps: [], entries: { sold: 'sold', waiting: 'queued' } });
  });

  test('is complete when the log reaches back to its opening and every old order has a run', async () => {
    const old = order('old', NOW - 30 * DAY);
    expect(await restore({ openedAgoMs: 31 * DAY, logged: [old], withRuns: [old] })).toEqual({
      gaps: [],
      entries: { old: 'sold' },
    });
  });

  test('has a gap when the log begins after the item and runs may be forgotten', async () => {
    expect(await restore({ openedAgoMs: 31 * DAY, logAgoMs: 7 * DAY })).toMatchObject({
      gaps: ['log-begins-late'],
    });
  });

  test('has a gap, and restores no queued order, when an old record has no run any more', async () => {
    expect(await restore({ openedAgoMs: 31 * DAY, logged: [order('old', NOW - 8 * DAY)] })).toEqual(
      { gaps: ['runs-forgotten'], entries: {} },
    );
  });

  test('takes nothing for granted that is older than a repeated registration', async () => {
    const before = order('before', NOW - 2 * DAY);
    expect(await restore({ openedAgoMs: DAY, isAgain: true, logged: [before] })).toEqual({
      gaps: ['runs-forgotten'],
      entries: {},
    });
    expect(await restore({ openedAgoMs: DAY, isAgain: true, logAgoMs: 7 * DAY })).toMatchObject({
      gaps: ['log-begins-late'],
    });
  });
});
