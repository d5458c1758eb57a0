import type { ReportTable } from '../report/figure';
import { rounded } from '../report/text';
import { ratio, type Standing } from './contest';

/** The standings for people; a column for each of `rivals` has the rate as a ratio to theirs. */
export function standingsTable(
  title: string,
  standings: ReadonlyMap<string, Standing>,
  rivals: readonly string[],
): ReportTable {
  return {
    title,
    head: [
      ...['gateway', 'answers/s', 'p50 ms', 'p99 ms', 'CPU µs each', 'Redis µs', 'Kafka µs'],
      ...rivals.map((rival) => `of ${rival}`),
      'other answers',
    ],
    rows: [...standings].map(([name, { rate, p50, p99, cpuMicros, others }]) => [
      name,
      ...[rate, p50, p99, cpuMicros.gateway, cpuMicros.redis, cpuMicros.kafka].map(rounded),
      ...rivals.map((rival) => ratio(standings, 'rate', [name, rival]).toFixed(2)),
      list(others),
    ]),
  };
}

function list(others: Readonly<Record<string, number>>): string {
  const text = Object.entries(others).map(([answer, count]) => `${count} × ${answer}`);
  return text.length > 0 ? text.join(', ') : '-';
}
