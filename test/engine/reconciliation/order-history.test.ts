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
  isTold: true,
  known: { state: 'sold', generation: 1, paymentId: 'p' },
  mayHaveCharged: false,
  isOtherOrder: false,
  cancelledByBuyer: false,
  fence: 5,
  generations: new Set([1]),
  resolved: new Set(),
  finishedAt: of.acceptedAt,
});

/**
 * A week of closed runs, and a log as old as `logSince`. `runsElsewhere`: runs of other items' orders, which the listing of
 * this item does not show.
 */
async function restore({
  logged = [],
  withRuns = [],
  runsElsewhere = [],
  finished = [],
  openedAgoMs,
  isAgain = false,
  logAgoMs = Infinity,
}: {
  logged?: readonly Order[];
  withRuns?: readonly Order[];
  runsElsewhere?: readonly Order[];
  finished?: readonly Order[];
  openedAgoMs: number;
  isAgain?: boolean;
  logAgoMs?: number;
}) {
  const byId = new Map(withRuns.map((one) => [one.requestId, one]));
  const elsewhere = new Map(runsElsewhere.map((one) => [one.requestId, one]));
  const history = createOrderHistory({
    runs: {
      keptMs: () => Promise.resolve(7 * DAY),
      runIds: () => Promise.resolve(new Map([...byId.keys()].map((id) => [id, ['run']]))),
      look: (requestId) =>
        Promise.resolve(
          elsewhere.has(requestId)
            ? { status: 'confirmed', runId: 'run', fingerprint: undefined }
            : undefined,
        ),
      history: (requestId) =>
        Promise.resolve(soldRun((byId.get(requestId) ?? elsewhere.get(requestId)) as Order)),
    },
    readOrders: () =>
      Promise.resolve(
        new Map(
          logged.map((one) => [one.requestId, { order: one, isFinished: finished.includes(one) }]),
        ),
      ),
    readCancellations: () => Promise.resolve(new Map()),
    logReachesBackTo: (sinceMs) => Promise.resolve(NOW - logAgoMs <= sinceMs),
    now: () => NOW,
  });
  const entries = new Map<string, string>();
  const item = { itemId: ITEM, token: 't', at: NOW - openedAgoMs, isAgain };
  const gaps = await history.restore(item, (chunk) => {
    for (const [requestId, { state, reason }] of chunk) entries.set(requestId, reason ?? state);
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

  test('has a gap when ingest has finished a young record, and its run is gone', async () => {
    const young = order('young', NOW - HOUR);
    expect(await restore({ openedAgoMs: 2 * DAY, logged: [young], finished: [young] })).toEqual({
      gaps: ['runs-forgotten'],
      entries: {},
    });
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

  test("has a gap when an old record has no run any more and its id is another item's by now", async () => {
    const elsewhere = { ...order('used-again', NOW - DAY), itemId: '202' as ItemId };
    expect(
      await restore({
        openedAgoMs: 31 * DAY,
        logged: [order('used-again', NOW - 20 * DAY)],
        runsElsewhere: [elsewhere],
      }),
    ).toEqual({ gaps: ['runs-forgotten'], entries: {} });
  });

  test("has the order that ingest refused, because its id was another item's, as refused", async () => {
    const elsewhere = { ...order('refused', NOW - 2 * DAY), itemId: '202' as ItemId };
    expect(
      await restore({
        openedAgoMs: 31 * DAY,
        logged: [order('refused', NOW - DAY)],
        runsElsewhere: [elsewhere],
      }),
    ).toEqual({ gaps: [], entries: { refused: 'request-id-reused' } });
  });
});
