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

/**
 * A hot item has a backlog; the others have an order now and then, all at the same moment. How long the last of these
 * takes, and what all items together reach of the rate that the hot one has alone just before.
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
  const items = [];
  for (let n = 0; n < quietItems; n++) {
    const purchases = freshPurchases(await putOnSale(redis, PROBES + 1));
    // An item's first purchase opens its ledger, which no probe is to wait for.
    await buyOne(port, purchases, PROBES);
    items.push(purchases);
  }
  const hot = freshPurchases(await putOnSale(redis, size));
  await buyAll(bench, { port, connections: CONNECTIONS, purchases: hot, count: size });
  const hotItem = { itemId: hot.itemId as ItemId, size, pids: [] };
  const drained = watchDrain(bench, hotItem);
  for (let n = 0; n < PROBES; n++) {
    await Promise.all(items.map((purchases) => buyOne(port, purchases, n)));
    await sleep(everyMs, undefined, { signal });
  }
  await drained;
  for (const { itemId } of items) {
    await watchDrain(bench, { itemId: itemId as ItemId, size: PROBES + 1, pids: [] });
  }
  const waits = Array.from({ length: PROBES }, () => 0);
  const finished: number[] = [];
  const violations: string[] = [];
  for (const { itemId, prefix } of [hot, ...items]) {
    const supply = prefix === hot.prefix ? size : PROBES + 1;
    const { entries } = await readSnapshot(redis, itemId as ItemId);
    for (const { finishedAt = NaN } of entries.values()) finished.push(finishedAt);
    const accepted = Array.from({ length: supply }, (_, n) => `${prefix}-${n}`);
    const sale = { itemId: itemId as ItemId, supply, accepted, prefix };
    violations.push(...(await findViolations(redis, { ...sale, paymentUrl: engine.paymentUrl })));
    if (prefix === hot.prefix) continue;
    for (let n = 0; n < PROBES; n++) {
      const { acceptedAt = NaN, finishedAt = NaN } = entries.get(`${prefix}-${n}`) ?? {};
      waits[n] = Math.max(waits[n] ?? 0, finishedAt - acceptedAt);
    }
  }
  const hotEntries = [...(await readSnapshot(redis, hot.itemId as ItemId)).entries.values()];
  const from = Math.min(...hotEntries.map(({ acceptedAt }) => acceptedAt));
  const to = Math.max(...hotEntries.map(({ finishedAt = NaN }) => finishedAt));
  const done = finished.filter((at) => at >= from && at <= to).length;
  return { probesMs: waits, rate: (done / (to - from)) * 1_000, violations };
}

async function buyOne(
  port: number,
  purchases: ReturnType<typeof freshPurchases>,
  n: number,
): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/buy`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: purchaseBody(purchases, n),
  });
  await response.arrayBuffer();
  if (response.status !== 202) throw new Error(`A probe was answered ${response.status}`);
}
