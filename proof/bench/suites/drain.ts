import { join } from 'node:path';
import type { RedisConnection } from '../../../platform/redis';
import { withRedis } from '../../../platform/redis';
import { startChild } from '../ground/child';
import type { BenchContext, Suite } from '../ground/context';
import { withServersOf } from '../ground/start';
import { layGround } from '../ground/engine';
import { startWholeEngine, type WholeEngine } from '../ground/whole-engine';
import { freshPrefix, putOnSale } from '../ground/items';
import { entriesOf } from '../../../engine/stock/stored-entry';
import { startMeter } from '../ground/usage';
import { median, quantile } from '../report/statistics';
import type { Figure, ReportTable } from '../report/figure';
import type { EmptyRun } from '../rivals/empty/orders';
import { checkBooks } from './books';
import {
  AGAINST,
  comparisonTable,
  drainTables,
  medianDrain,
  OWN,
  type Drained,
} from './drain-tables';
import { watchDrain } from './watch-drain';

/** The smallest is the measure for the others: a backlog must not make the engine slower. */
const SIZES = [500, 2_000, 10_000];
const QUICK_SIZES = [100];
const EMPTY_COUNT = 500;
const QUICK_EMPTY_COUNT = 100;

/** With another checkout. The rate is that of the median round. */
const AGAINST_ROUNDS = 3;
const WARM_UP_ORDERS = 200;

const ACCEPT_MS_MAX = 60_000;
const PRICE_MINOR = 1_000;

/**
 * From the door to the last outcome, in all sizes, each between two runs of workflows that do nothing: what the engine
 * adds to the price of a workflow, on the server as it is at that moment. Another checkout takes turns with this one,
 * each with its own programs on servers of its own.
 */
export const drain: Suite = {
  about: 'accepted orders through the whole engine, against workflows that do nothing',
  run: async (context) => {
    const { quick, report, against } = context;
    const sides = [await startSide(context, OWN)];
    if (against) sides.push(await startSide(await withServersOf(context, against), AGAINST));
    if (against) {
      // The first drain compiles the code of every process, and is not counted.
      for (const side of sides) await drainSide(side, WARM_UP_ORDERS);
    }
    const comparisons: ReportTable[] = [];
    const drained: Drained[] = [];
    const rounds = against && !quick ? AGAINST_ROUNDS : 1;
    for (const size of context.orders ?? (quick ? QUICK_SIZES : SIZES)) {
      const results = new Map<string, Drained[]>(sides.map(({ name }) => [name, []]));
      for (let round = 1; round <= rounds; round++) {
        for (const side of round % 2 === 1 ? sides : sides.toReversed()) {
          const result = await drainSide(side, size);
          results.get(side.name)?.push(result);
          const turn = against ? `, round ${round} of ${rounds}: ${side.name}` : ':';
          report(`  drain ${size}${turn} ${result.rate.toFixed(1)} orders/s`);
        }
      }
      drained.push(medianDrain(results.get(OWN) ?? []));
      if (against) comparisons.push(comparisonTable(size, results));
    }
    for (const { engine } of sides) await engine.stop();
    return {
      tables: [...drainTables(drained), ...comparisons],
      figures: figuresOf(drained),
      violations: sides.flatMap(({ violations }) => violations),
    };
  },
};

/** One checkout, all of its engine running. */
interface Side {
  readonly name: typeof OWN | typeof AGAINST;
  readonly context: BenchContext;
  readonly engine: WholeEngine;
  readonly runEmpty: () => Promise<number>;
  /** Of the last run of empty workflows. */
  emptyRate: number;
  /** In the accounts of any of its drains. */
  readonly violations: string[];
}

async function startSide(context: BenchContext, name: Side['name']): Promise<Side> {
  const engine = await startWholeEngine(context, await layGround(context));
  const runEmpty = startEmpty(context);
  return { name, context, engine, runEmpty, emptyRate: await runEmpty(), violations: [] };
}

/** One drain, and the empty workflows after it, which are those before the next one. */
async function drainSide(side: Side, size: number): Promise<Drained> {
  const { context, engine, name } = side;
  const { drained, violations } = await withRedis(context.stack.redisAddr, (redis) =>
    drainOnce(context, redis, engine, size),
  );
  side.violations.push(...violations.map((text) => (name === OWN ? text : `${name}: ${text}`)));
  const before = side.emptyRate;
  side.emptyRate = await side.runEmpty();
  return { ...drained, emptyRate: (before + side.emptyRate) / 2 };
}

/** Answers a function that runs empty workflows and tells how many of them were done in a second. */
function startEmpty({ stack, root, quick, onEnd, report }: BenchContext): () => Promise<number> {
  const main = join(root, 'dist', 'proof', 'bench', 'rivals', 'empty', 'main.js');
  const taskQueue = freshPrefix();
  const child = startChild<EmptyRun, { tookMs: number }>(main, [
    ...[stack.temporalAddress, 'default', taskQueue],
  ]);
  onEnd(() => {
    child.stop();
    return Promise.resolve();
  });
  const count = quick ? QUICK_EMPTY_COUNT : EMPTY_COUNT;
  return async () => {
    const { tookMs } = await child.ask({ prefix: freshPrefix(), count });
    const rate = (count / tookMs) * 1_000;
    report(`  ${count} empty workflows: ${rate.toFixed(1)}/s`);
    return rate;
  };
}

async function drainOnce(
  { generator, stack, report, signal }: BenchContext,
  redis: RedisConnection,
  engine: WholeEngine,
  size: number,
) {
  const itemId = await putOnSale(redis, size);
  const pids = new Map([
    ...engine.processes.map(({ name, pid }) => [name, pid] as const),
    ...stack.pids,
  ]);
  const meter = startMeter(pids);
  const watching = watchDrain({ redis, itemId, pids, report, signal, size });
  const prefix = freshPrefix();
  const { answers } = await generator.closedLoop({
    ...{ port: engine.api.port, connections: 64, wantedStatus: 202 },
    ...{ purchases: { kind: 'fresh', itemId, prefix }, requestsMax: size },
    ...{ warmMs: 0, measureMs: ACCEPT_MS_MAX },
  });
  if (answers['202'] !== size) {
    throw new Error(`Of ${size} orders not all were accepted: ${JSON.stringify(answers)}`);
  }
  const samples = await watching;
  const cpuMs = meter();
  const entries = [...(await entriesOf(redis, itemId)).values()];
  const queuedAt = entries.map(
    ({ timeline, acceptedAt }) =>
      timeline.find(({ state }) => state === 'queued')?.at ?? acceptedAt,
  );
  const finishedAt = entries.map((entry) => entry.finishedAt ?? NaN);
  const waitedMs = finishedAt.map((at, i) => at - (queuedAt[i] ?? NaN));
  const tookMs = Math.max(...finishedAt) - Math.min(...queuedAt);
  const confirmed = entries.filter(({ state }) => state === 'sold').length;
  const accepted = Array.from({ length: size }, (_, n) => `${prefix}-${n}`);
  return {
    drained: {
      ...{ size, confirmed, tookMs, samples },
      rate: (size / tookMs) * 1_000,
      p50: quantile(waitedMs, 0.5),
      p99: quantile(waitedMs, 0.99),
      cpuMsPerOrder: new Map([...cpuMs].map(([name, ms]) => [name, ms / size])),
    },
    violations: await checkBooks({
      ...{
        redis,
        itemId,
        supply: size,
        accepted,
        payments: engine.payments,
        priceMinor: PRICE_MINOR,
      },
    }),
  };
}

function figuresOf(drained: readonly Drained[]): Figure[] {
  const figures = drained.map(({ size, rate, emptyRate }): Figure => {
    const what = `${size} orders: rate, of empty workflows`;
    return { what, value: rate / emptyRate, bar: { atLeast: 0.5, stretch: 0.75 } };
  });
  const [first, last] = [drained.at(0), drained.at(-1)];
  if (first && last && first !== last) {
    const what = `rate at ${last.size} orders, of that at ${first.size}`;
    // Both as ratios to the empty workflows beside them: the server grows slower with every workflow it keeps.
    const value = last.rate / last.emptyRate / (first.rate / first.emptyRate);
    figures.push({ what: `${what} (each to its empty ones)`, value, bar: { atLeast: 0.9 } });
    figures.push({ what, value: last.rate / first.rate, bar: { atLeast: 0.9 } });
  }
  if (last && last.size > WARM_ORDERS) {
    const what = `memory of api, ingest and worker at the end, of that after ${WARM_ORDERS} orders`;
    figures.push({ what, value: memoryGrowth(last), bar: { atMost: 1.1 } });
  }
  return figures;
}

/** By then code is compiled and caches are full: what grows afterwards grows with the orders. */
const WARM_ORDERS = 2_000;

/** Of the engine's own processes: the servers keep what they are given. Medians over a tenth of the drain's looks. */
function memoryGrowth({ size, samples }: Drained): number {
  const tenth = Math.ceil(samples.length / 10);
  // From the peak on: before it there are few open orders because few are accepted.
  const most = Math.max(...samples.map(({ open }) => open));
  const peak = samples.findIndex(({ open }) => open === most);
  const warm = samples.findIndex(({ open }, i) => i >= peak && open <= size - WARM_ORDERS);
  const used = (from: number) =>
    median(
      samples
        .slice(from, from + tenth)
        .map(({ memoryMb }) => GROWING.reduce((sum, part) => sum + (memoryMb.get(part) ?? NaN), 0)),
    );
  return used(samples.length - tenth) / used(warm);
}

const GROWING = ['api', 'ingest', 'worker'];
