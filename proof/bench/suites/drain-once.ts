import { readSnapshot, waitUntilIdle } from '../../../client/snapshot';
import type { ItemId } from '../../../engine/orders/order';
import { createStockLedger } from '../../../engine/stock/stock-ledger';
import type { BenchEnvironment, WholeEngine } from '../environment';
import { quantile } from '../statistics';
import { memoryOf, startMeter, type PartPids } from '../usage';
import { buyAll, findViolations, freshPurchases, putOnSale } from './sale';

/** What one drain has shown. */
export type Drained = Awaited<ReturnType<typeof drainOnce>>;

export interface DrainSample {
  /** Orders accepted and not final; every order here is one unit. */
  readonly open: number;
  readonly memoryMb: ReadonlyMap<string, number>;
}

const CONNECTIONS = 64;

/** Sells `size` orders of one unit through the whole engine and waits for the last outcome. */
export async function drainOnce(bench: BenchEnvironment, engine: WholeEngine, size: number) {
  const { redis, stack } = bench;
  const itemId = await putOnSale(redis, size);
  const pids: PartPids = [
    ...engine.processes.map(({ name, pid }) => [name, pid()] as const),
    ...stack.pids,
  ];
  const meter = startMeter(pids);
  const purchases = freshPurchases(itemId);
  const load = { port: engine.api.port, connections: CONNECTIONS, purchases, count: size };
  const [samples] = await Promise.all([
    watchDrain(bench, { itemId, size, pids }),
    buyAll(bench, load),
  ]);
  const cpuMs = meter();
  const entries = [...(await readSnapshot(redis, itemId)).entries.values()];
  const queuedAt = entries.map(
    ({ timeline, acceptedAt }) =>
      timeline.find(({ state }) => state === 'queued')?.at ?? acceptedAt,
  );
  const finishedAt = entries.map((entry) => entry.finishedAt ?? NaN);
  const waitedMs = finishedAt.map((at, i) => at - (queuedAt[i] ?? NaN));
  const tookMs = Math.max(...finishedAt) - Math.min(...queuedAt);
  return {
    size,
    confirmed: entries.filter(({ state }) => state === 'sold').length,
    /** From the first 202 to the last outcome. */
    tookMs,
    /** Outcomes per second. */
    rate: (size / tookMs) * 1_000,
    /** From an order's 202 to its outcome, in ms. */
    p50: quantile(waitedMs, 0.5),
    p99: quantile(waitedMs, 0.99),
    cpuMsPerOrder: new Map([...cpuMs].map(([part, ms]) => [part, ms / size])),
    samples,
    violations: await findViolations(redis, {
      itemId,
      supply: size,
      accepted: Array.from({ length: size }, (_, n) => `${purchases.prefix}-${n}`),
      prefix: purchases.prefix,
      paymentUrl: engine.paymentUrl,
    }),
  };
}

const SAMPLE_EVERY_MS = 1_000;
const LOG_EVERY = 10;
/** Ten times what an order takes on a small machine: a slower drain has come to a stop. */
const ORDER_MS_MAX = 300;
const DRAIN_MS_MIN = 60_000;

/** Samples once a second until all `size` units of an item are sold or free again. Throws when that takes too long. */
export async function watchDrain(
  { redis, log, signal }: BenchEnvironment,
  { itemId, size, pids }: { itemId: ItemId; size: number; pids: PartPids },
): Promise<DrainSample[]> {
  const ledger = createStockLedger(redis);
  const samples: DrainSample[] = [];
  let hasBegun = false;
  const sample = async () => {
    const item = await ledger.item(itemId);
    const { held = 0, queued = 0, reserved = 0, sold = 0 } = item?.counts ?? {};
    const open = held + queued + reserved;
    hasBegun ||= open > 0 || sold > 0;
    if (!hasBegun) return 'no order has been accepted';
    samples.push({ open, memoryMb: memoryOf(pids) });
    if (open === 0) return undefined;
    if (samples.length % LOG_EVERY === 0) log(`  ... ${open} of ${size} orders are open`);
    return `${open} of ${size} orders are open`;
  };
  await waitUntilIdle(sample, {
    withinMs: DRAIN_MS_MIN + size * ORDER_MS_MAX,
    pollMs: SAMPLE_EVERY_MS,
    signal,
  });
  return samples;
}
