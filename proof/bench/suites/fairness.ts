import { setTimeout as sleep } from 'node:timers/promises';
import { readSnapshot } from '../../../client/snapshot';
import type { ItemId } from '../../../engine/orders/order';
import {
  startWholeEngine,
  type BenchEnvironment,
  type Suite,
  type WholeEngine,
} from '../environment';
import { purchaseBody } from '../load/plan';
import { rounded, type Figure } from '../report';
import { median, quantile } from '../statistics';
import { drainOnce, watchDrain } from './drain-once';
import { buyAll, findViolations, freshPurchases, putOnSale } from './sale';

/** Of one item, accepted before the others come. */
const HOT_ORDERS = 10_000;
const QUICK_HOT_ORDERS = 500;
/** The first drain compiles the code of every process. */
const WARM_UP_ORDERS = 200;
const CONNECTIONS = 64;
const COPIES = [1, 2];
const QUIET_ITEMS = [1, 50];
const PROBES = 20;
/** Each probe is an order of one in ten of many quiet items, in turn: all at once would be a backlog of their own. */
const TENTH = 10;

/**
 * A hot item has a backlog, the others have an order now and then: how long the last order of a probe takes, and what all
 * items together reach of the rate that the hot one has alone just before.
 */
export const fairness: Suite = {
  about: 'orders of quiet items behind the backlog of a hot one',
  run: async (bench) => {
    const figures: Figure[] = [];
    const rows: (string | number)[][] = [];
    const violations: string[] = [];
    const sizes = bench.orders ?? [bench.quick ? QUICK_HOT_ORDERS : HOT_ORDERS];
    for (const copies of COPIES) {
      const engine = await startWholeEngine(bench, copies);
      await drainOnce(bench, engine, WARM_UP_ORDERS);
      for (const size of sizes) {
        for (const quietItems of QUIET_ITEMS) {
          bench.signal.throwIfAborted();
          const alone = await drainOnce(bench, engine, size);
          const shared = await drainWithProbes(bench, engine, {
            size,
            quietItems,
            everyMs: alone.tookMs / 2 / PROBES,
          });
          const probe = median(shared.probesMs) / 1_000;
          const share = shared.rate / alone.rate;
          const what = `${size} hot orders, ${quietItems} quiet, ${copies} of ingest and worker`;
          figures.push({ what: `${what}: seconds`, value: probe, bar: { atMost: 5 } });
          figures.push({ what: `${what}: rate of all`, value: share, bar: { atLeast: 0.9 } });
          rows.push([
            copies,
            size,
            quietItems,
            rounded(probe),
            rounded(quantile(shared.probesMs, 0.95) / 1_000),
            rounded(alone.rate),
            rounded(shared.rate),
          ]);
          violations.push(...alone.violations, ...shared.violations);
          bench.log(`  ${what}: ${probe.toFixed(2)} s, ${share.toFixed(2)} of the rate`);
        }
      }
      await engine.stop();
    }
    const head = ['copies', 'hot', 'quiet', 'probe s', 'p95 s', 'alone/s', 'together/s'];
    const title = `${PROBES} probes of the quiet items`;
    return { tables: [{ title, head, rows }], figures, violations };
  },
};

async function drainWithProbes(
  bench: BenchEnvironment,
  engine: WholeEngine,
  { size, quietItems, everyMs }: { size: number; quietItems: number; everyMs: number },
) {
  const { redis, signal } = bench;
  const { port } = engine.api;
  const quiet: Bought[] = [];
  for (let n = 0; n < quietItems; n++) {
    const one: Bought = { purchases: freshPurchases(await putOnSale(redis, PROBES + 1)), sent: [] };
    // An item's first purchase opens its ledger, which no probe is to wait for.
    await buyOne(port, one, PROBES);
    quiet.push(one);
  }
  const purchases = freshPurchases(await putOnSale(redis, size));
  const hot: Bought = { purchases, sent: Array.from({ length: size }, (_, n) => n) };
  await buyAll(bench, { port, connections: CONNECTIONS, purchases, count: size });
  const drained = watchDrain(bench, { itemId: itemOf(hot), size, pids: [] });
  for (let n = 0; n < PROBES; n++) {
    const probed = quiet.filter((_, i) => quietItems < TENTH || i % TENTH === n % TENTH);
    await Promise.all(probed.map((one) => buyOne(port, one, n)));
    await sleep(everyMs, undefined, { signal });
  }
  await drained;
  const probesMs = Array.from({ length: PROBES }, () => 0);
  const finished: number[] = [];
  const violations: string[] = [];
  for (const one of [hot, ...quiet]) {
    const supply = one === hot ? size : PROBES + 1;
    const itemId = itemOf(one);
    await watchDrain(bench, { itemId, size: supply, pids: [] });
    const { entries } = await readSnapshot(redis, itemId);
    for (const { finishedAt = NaN } of entries.values()) finished.push(finishedAt);
    const { prefix } = one.purchases;
    const accepted = one.sent.map((n) => `${prefix}-${n}`);
    const sale = { itemId, supply, accepted, prefix, paymentUrl: engine.paymentUrl };
    violations.push(...(await findViolations(redis, sale)));
    for (const n of one === hot ? [] : one.sent.filter((sent) => sent < PROBES)) {
      const { acceptedAt = NaN, finishedAt = NaN } = entries.get(`${prefix}-${n}`) ?? {};
      probesMs[n] = Math.max(probesMs[n] ?? 0, finishedAt - acceptedAt);
    }
  }
  const hotEntries = [...(await readSnapshot(redis, itemOf(hot))).entries.values()];
  const from = Math.min(...hotEntries.map(({ acceptedAt }) => acceptedAt));
  const to = Math.max(...hotEntries.map(({ finishedAt = NaN }) => finishedAt));
  const done = finished.filter((at) => at >= from && at <= to).length;
  return { probesMs, rate: (done / (to - from)) * 1_000, violations };
}

interface Bought {
  readonly purchases: ReturnType<typeof freshPurchases>;
  /** Which of the purchases. */
  readonly sent: number[];
}

const itemOf = ({ purchases }: Bought) => purchases.itemId as ItemId;

async function buyOne(port: number, { purchases, sent }: Bought, n: number): Promise<void> {
  sent.push(n);
  const response = await fetch(`http://127.0.0.1:${port}/buy`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: purchaseBody(purchases, n),
  });
  await response.arrayBuffer();
  if (response.status !== 202) throw new Error(`A probe was answered ${response.status}`);
}
