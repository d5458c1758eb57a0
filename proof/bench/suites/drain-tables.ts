import type { ReportTable } from '../report/figure';
import { invariant } from '../../../engine/orders/invariant';
import { median } from '../report/statistics';
import { rounded } from '../report/text';
import type { DrainSample } from './watch-drain';

export interface Drained {
  readonly size: number;
  readonly confirmed: number;
  /** From the first 202 to the last outcome. */
  readonly tookMs: number;
  /** Outcomes per second. */
  readonly rate: number;
  /** From an order's 202 to its outcome, in ms. */
  readonly p50: number;
  readonly p99: number;
  readonly cpuMsPerOrder: ReadonlyMap<string, number>;
  readonly samples: readonly DrainSample[];
  /** Empty workflows per second, before and after. */
  readonly emptyRate: number;
}

export function drainTables(drained: readonly Drained[]): ReportTable[] {
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
        ...[size, confirmed, rounded(rate), rounded(emptyRate)],
        rounded((confirmed / tookMs) * 1_000),
        ...[tookMs, p50, p99].map((ms) => rounded(ms / 1_000)),
      ]),
    },
    {
      title: 'CPU ms per order',
      head: ['process', ...sizes],
      rows: [...parts, 'all'].map((part) => [
        part,
        ...drained.map(({ cpuMsPerOrder }) =>
          rounded(part === 'all' ? sum(cpuMsPerOrder) : (cpuMsPerOrder.get(part) ?? NaN)),
        ),
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

export const OWN = 'this checkout';
export const AGAINST = '--against';

/** The round with the median rate stands for all; of an even number the slower one of the two in the middle. */
export function medianDrain(rounds: readonly Drained[]): Drained {
  const sorted = rounds.toSorted((a, b) => a.rate - b.rate);
  const middle = sorted[Math.ceil(sorted.length / 2) - 1];
  invariant(middle !== undefined, 'a drain has at least one round');
  return middle;
}

/** This checkout beside the other one. Every figure is the median of the rounds. */
export function comparisonTable(
  size: number,
  sides: ReadonlyMap<string, readonly Drained[]>,
): ReportTable {
  const [own = [], against = []] = [sides.get(OWN), sides.get(AGAINST)];
  const row = (what: string, figure: (drained: Drained) => number) => {
    const [ours, theirs] = [median(own.map(figure)), median(against.map(figure))];
    return [what, rounded(ours), rounded(theirs), (ours / theirs).toFixed(2)];
  };
  const parts = [...(own[0]?.cpuMsPerOrder.keys() ?? [])];
  return {
    title: `drain of ${size} orders, median of ${own.length} rounds in turns`,
    head: ['', OWN, AGAINST, 'ratio'],
    rows: [
      row('orders/s', ({ rate }) => rate),
      row('empty workflows/s', ({ emptyRate }) => emptyRate),
      row('p50 s', ({ p50 }) => p50 / 1_000),
      row('p99 s', ({ p99 }) => p99 / 1_000),
      ...parts.map((part) =>
        row(`CPU ms per order: ${part}`, ({ cpuMsPerOrder }) => cpuMsPerOrder.get(part) ?? NaN),
      ),
      row('CPU ms per order: all', ({ cpuMsPerOrder }) => sum(cpuMsPerOrder)),
    ],
  };
}

const TENTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

function sum(perPart: ReadonlyMap<string, number>): number {
  return [...perPart.values()].reduce((total, ms) => total + ms, 0);
}

function memory(samples: readonly DrainSample[], part: string): string {
  const used = samples.map(({ memoryMb }) => memoryMb.get(part) ?? NaN);
  return [used.at(0) ?? NaN, Math.max(...used), used.at(-1) ?? NaN].map(rounded).join('  ');
}
