import { invariant } from '../../../engine/orders/invariant';
import { UserError } from '../../../platform/user-error';
import { startBaseline } from '../children';
import {
  startWholeEngine,
  withServersOf,
  withTemporal,
  type BenchEnvironment,
  type Suite,
  type WholeEngine,
} from '../environment';
import { rounded, type Figure, type ReportTable } from '../report';
import { median } from '../statistics';
import { startTemporalPostgres } from '../temporal-postgres';
import { drainOnce, type Drained, type DrainSample } from './drain-once';
import { freshPrefix } from './sale';

/** The smallest is the measure for the others: a backlog must not make the engine slower. */
const SIZES = [500, 2_000, 10_000];
const QUICK_SIZES = [100];
const EMPTY_COUNT = 500;
const QUICK_EMPTY_COUNT = 100;

/** Beside another side. */
const ROUNDS_IN_TURNS = 3;
/** The first drain compiles the code of every process. Beside another side it is not counted. */
const WARM_UP_ORDERS = 200;

const OWN = 'this checkout';
const AGAINST = '--against';
const POSTGRES = 'Temporal on PostgreSQL';

/**
 * From the gateway to the last outcome, in all sizes. Each drain lies between two runs of workflows that do nothing: what
 * the engine adds to the price of a workflow, on the server as it is at that moment. Another checkout, or this one on
 * another Temporal server, takes turns with this one, each on servers of its own.
 */
export const drain: Suite = {
  about: 'accepted orders through the whole engine, against workflows that do nothing',
  run: async (bench) => {
    const { quick, log, against, temporal } = bench;
    const skipped: string[] = [];
    const sides = [await startSide(OWN, bench)];
    if (against) sides.push(await startSide(AGAINST, await withServersOf(against, bench)));
    if (temporal === 'postgres') {
      try {
        const server = await startTemporalPostgres(bench);
        sides.push(await startSide(POSTGRES, await withTemporal(server, bench)));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        skipped.push(`no ${POSTGRES}: ${error.message}`);
        log(`  SKIPPED: no ${POSTGRES}: ${error.message}`);
      }
    }
    const inTurns = sides.length > 1;
    if (inTurns) for (const side of sides) await drainSide(side, WARM_UP_ORDERS);
    const comparisons: ReportTable[] = [];
    const drained: Measured[] = [];
    const rounds = inTurns && !quick ? ROUNDS_IN_TURNS : 1;
    for (const size of bench.orders ?? (quick ? QUICK_SIZES : SIZES)) {
      const results = new Map<string, Measured[]>(sides.map(({ name }) => [name, []]));
      for (let round = 1; round <= rounds; round++) {
        for (const side of round % 2 === 1 ? sides : sides.toReversed()) {
          const result = await drainSide(side, size);
          results.get(side.name)?.push(result);
          const turn = inTurns ? `, round ${round} of ${rounds}: ${side.name}` : ':';
          log(`  drain ${size}${turn} ${result.rate.toFixed(1)} orders/s`);
        }
      }
      const own = results.get(OWN) ?? [];
      drained.push(medianDrain(own));
      for (const { name } of sides.slice(1)) {
        comparisons.push(besideTable(size, own, name, results.get(name) ?? []));
      }
    }
    for (const { engine } of sides) await engine.stop();
    return {
      tables: [...drainTables(drained), ...comparisons],
      figures: figuresOf(drained),
      violations: sides.flatMap(({ violations }) => violations),
      skipped,
    };
  },
};

interface Measured extends Omit<Drained, 'violations'> {
  /** Empty workflows per second: the mean of before and after. */
  readonly emptyRate: number;
}

/** One checkout on one set of servers, all of its engine running. */
interface Side {
  readonly name: typeof OWN | typeof AGAINST | typeof POSTGRES;
  readonly bench: BenchEnvironment;
  readonly engine: WholeEngine;
  readonly runEmpty: () => Promise<number>;
  /** Of the last run of empty workflows. */
  emptyRate: number;
  /** Of all its drains. */
  readonly violations: string[];
}

async function startSide(name: Side['name'], bench: BenchEnvironment): Promise<Side> {
  const engine = await startWholeEngine(bench);
  const runEmpty = startEmpty(bench);
  return { name, bench, engine, runEmpty, emptyRate: await runEmpty(), violations: [] };
}

/** One drain. The empty workflows after it are those before the next one. */
async function drainSide(side: Side, size: number): Promise<Measured> {
  const { violations, ...drained } = await drainOnce(side.bench, side.engine, size);
  side.violations.push(
    ...violations.map((text) => (side.name === OWN ? text : `${side.name}: ${text}`)),
  );
  const before = side.emptyRate;
  side.emptyRate = await side.runEmpty();
  return { ...drained, emptyRate: (before + side.emptyRate) / 2 };
}

/** Returns a function that runs empty workflows and answers how many of them end in a second. */
function startEmpty({ stack, quick, onEnd, log }: BenchEnvironment): () => Promise<number> {
  const child = startBaseline('empty', [stack.temporalAddress, 'default', freshPrefix()]);
  onEnd(child.stop);
  const count = quick ? QUICK_EMPTY_COUNT : EMPTY_COUNT;
  return async () => {
    const reply = await child.ask({ prefix: freshPrefix(), count });
    const rate = (count / (reply as { tookMs: number }).tookMs) * 1_000;
    log(`  ${count} empty workflows: ${rate.toFixed(1)}/s`);
    return rate;
  };
}

/** The round with the median rate stands for all; of an even number the slower one of the two in the middle. */
function medianDrain(rounds: readonly Measured[]): Measured {
  const sorted = rounds.toSorted((a, b) => a.rate - b.rate);
  const middle = sorted[Math.ceil(sorted.length / 2) - 1];
  invariant(middle !== undefined, 'a drain has at least one round');
  return middle;
}

function figuresOf(drained: readonly Measured[]): Figure[] {
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

/** Of the engine's processes: the servers store every order. Medians over a tenth of the samples. */
function memoryGrowth({ size, samples }: Measured): number {
  const tenth = Math.ceil(samples.length / 10);
  // From the peak on: before it there are few open orders because few are accepted.
  const most = Math.max(...samples.map(({ open }) => open));
  const peak = samples.findIndex(({ open }) => open === most);
  const warm = samples.findIndex(({ open }, i) => i >= peak && open <= size - WARM_ORDERS);
  const engineMb = ({ memoryMb }: DrainSample) =>
    ['api', 'ingest', 'worker'].reduce((total, part) => total + (memoryMb.get(part) ?? NaN), 0);
  const used = (from: number) => median(samples.slice(from, from + tenth).map(engineMb));
  return used(samples.length - tenth) / used(warm);
}

const TENTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

function drainTables(drained: readonly Measured[]): ReportTable[] {
  const parts = [...(drained[0]?.cpuMsPerOrder.keys() ?? [])];
  const sizes = drained.map(({ size }) => `${size} orders`);
  return [
    {
      title: 'drain',
      head: [
        'orders',
        'confirmed',
        'orders/s',
        'empty/s',
        'confirmed/s',
        'all done s',
        'p50 s',
        'p99 s',
      ],
      rows: drained.map(({ size, confirmed, tookMs, rate, p50, p99, emptyRate }) => [
        size,
        confirmed,
        rounded(rate),
        rounded(emptyRate),
        rounded((confirmed / tookMs) * 1_000),
        rounded(tookMs / 1_000),
        rounded(p50 / 1_000),
        rounded(p99 / 1_000),
      ]),
    },
    {
      title: 'CPU ms per order',
      head: ['process', ...sizes],
      rows: [...parts, 'all'].map((part) => [
        part,
        ...drained.map((one) => rounded(cpuMsPerOrder(one, part))),
      ]),
    },
    {
      title: 'memory in MB: at the beginning, at most, at the end',
      head: ['process', ...sizes],
      rows: parts.map((part) => [part, ...drained.map(({ samples }) => memory(samples, part))]),
    },
    {
      title: 'open orders over time',
      head: ['orders', ...TENTHS.map((tenth) => `${tenth * 10} %`)],
      rows: drained.map(({ size, samples }) => [
        size,
        ...TENTHS.map(
          (tenth) => samples[Math.ceil((samples.length * tenth) / 10) - 1]?.open ?? '-',
        ),
      ]),
    },
  ];
}

/** This checkout beside another side. Every figure is the median of the rounds. */
function besideTable(
  size: number,
  own: readonly Measured[],
  name: Side['name'],
  others: readonly Measured[],
): ReportTable {
  const row = (what: string, figure: (one: Measured) => number) => {
    const [one, other] = [median(own.map(figure)), median(others.map(figure))];
    const ratio = one / other;
    return [what, rounded(one), rounded(other), Number.isNaN(ratio) ? '-' : ratio.toFixed(2)];
  };
  const parts = new Set(
    [own, others].flatMap(([first]) => [...(first?.cpuMsPerOrder.keys() ?? [])]),
  );
  return {
    title: `drain of ${size} orders, median of ${own.length} rounds in turns`,
    head: ['', OWN, name, 'ratio'],
    rows: [
      row('orders/s', ({ rate }) => rate),
      row('empty workflows/s', ({ emptyRate }) => emptyRate),
      row('p50 s', ({ p50 }) => p50 / 1_000),
      row('p99 s', ({ p99 }) => p99 / 1_000),
      ...[...parts, 'all'].map((part) =>
        row(`CPU ms per order: ${part}`, (one) => cpuMsPerOrder(one, part)),
      ),
    ],
  };
}

/** Of one part, or of `all`. */
function cpuMsPerOrder({ cpuMsPerOrder: byPart }: Measured, part: string): number {
  if (part !== 'all') return byPart.get(part) ?? NaN;
  return [...byPart.values()].reduce((total, ms) => total + ms, 0);
}

function memory(samples: readonly DrainSample[], part: string): string {
  const used = samples.map(({ memoryMb }) => memoryMb.get(part) ?? NaN);
  return [used.at(0) ?? NaN, Math.max(...used), used.at(-1) ?? NaN].map(rounded).join('  ');
}
