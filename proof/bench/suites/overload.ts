import { createStockLedger } from '../../../engine/stock/stock-ledger';
import { createEngine, type BenchEnvironment, type Suite } from '../environment';
import type { ClosedLoopResult } from '../load/closed-loop';
import { rounded } from '../report';
import { median } from '../statistics';
import { usageOf, watchMemory } from '../usage';
import { freshPrefix, freshPurchases, PLENTY, putOnSale } from './sale';

const TIMES = 3;
const SLICE_MS = 250;
const PEAK_CONNECTIONS = [64, 128, 256, 512];

/** Of the open loop: as many as a load balancer keeps open. */
const CONNECTIONS_MAX = 1_500;

/**
 * Finds the gateway's peak, then sends from three times as many connections, none of which respects Retry-After: the bars
 * are about that. Then, without a bar, three times as many purchases a second, in an open loop.
 */
export const overload: Suite = {
  about: `${TIMES} times as many buyers as the gateway can take, for half a minute`,
  run: async (bench) => {
    const { quick, generator, log, redis } = bench;
    const api = await (await createEngine(bench)).start('api');
    const warmItem = await putOnSale(redis, PLENTY);
    const closedLoop = (connections: number, ms: readonly [number, number], itemId = warmItem) =>
      generator.closedLoop({
        port: api.port,
        connections,
        purchases: freshPurchases(itemId),
        wantedStatus: 202,
        warmMs: ms[0],
        measureMs: ms[1],
      });
    const peak = await findPeak(bench, closedLoop);
    log(`  peak: ${rounded(peak.rate)}/s at ${peak.connections} connections`);

    const itemId = await putOnSale(redis, PLENTY);
    const memory = watchMemory(api.pid());
    const connections = peak.connections * TIMES;
    const crowd = await closedLoop(connections, [0, quick ? 5_000 : 30_000], itemId);
    const normalMs = await untilNormal(peak, () => closedLoop(peak.connections, [0, SLICE_MS]));
    const memoryMb = memory();
    // A peak measured while the machine had other work to do would make the overload look good.
    const after = await closedLoop(peak.connections, quick ? [200, 800] : [300, 2_000]);
    const peakRate = Math.max(peak.rate, after.rate);
    const queued = (await createStockLedger(redis).item(itemId))?.counts.queued ?? 0;
    const lost = (crowd.responses['202'] ?? 0) - queued;
    const openLoop = await sendOpenLoop(bench, api.port, peak.rate);
    const violations = [
      ...errorsAmong(crowd.responses),
      ...errorsAmong(openLoop.responses),
      ...(lost > 0 ? [`${lost} accepted orders are not in the ledger`] : []),
      ...(usageOf(api.pid()).memoryMb === 0 ? ['the gateway has died'] : []),
    ];
    await api.stop();
    const row = (what: string, ...values: number[]) => [what, values.map(rounded).join('  ')];
    return {
      tables: [
        {
          title: `overload: ${connections} connections that ask again at once`,
          head: ['', ''],
          rows: [
            row('accepted/s at the peak, and its connections', peak.rate, peak.connections),
            row('with as many connections, afterwards', after.rate),
            row('p50 and p99 at the peak, ms', peak.p50, peak.p99),
            row('accepted/s in the overload', crowd.rate),
            row('p50 and p99 of the accepted, ms', crowd.p50, crowd.p99),
            row('memory of the gateway, MB: at the beginning, 1/3, 2/3, the end', ...memoryMb),
            row('ms until it answered as before', normalMs),
            ...Object.entries(crowd.responses).map(([response, count]) => row(response, count)),
          ],
        },
        openLoop.table,
      ],
      figures: [
        {
          what: 'accepted/s in the overload, of the peak, before or after',
          value: crowd.rate / peakRate,
          bar: { atLeast: 0.8 },
        },
        {
          what: "p99 of the accepted, of the peak's",
          value: crowd.p99 / peak.p99,
          bar: { atMost: 3 },
        },
        {
          what: 'seconds until it answered as before',
          value: normalMs / 1_000,
          bar: { atMost: 5 },
        },
      ],
      violations,
    };
  },
};

interface Peak {
  readonly connections: number;
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

/** The best of several numbers of connections, which are measured in turns; the median round of each counts. */
async function findPeak(
  { quick, log, signal }: BenchEnvironment,
  closedLoop: (connections: number, ms: readonly [number, number]) => Promise<ClosedLoopResult>,
): Promise<Peak> {
  const rounds = quick ? 1 : 3;
  const results = new Map<number, ClosedLoopResult[]>(PEAK_CONNECTIONS.map((count) => [count, []]));
  await closedLoop(256, [0, 2_000]);
  for (let round = 0; round < rounds; round++) {
    for (const [connections, list] of results) {
      signal.throwIfAborted();
      list.push(await closedLoop(connections, quick ? [200, 800] : [300, 2_000]));
    }
  }
  const peaks = [...results].map(([connections, list]): Peak => {
    const middle = (figure: 'rate' | 'p50' | 'p99') => median(list.map((load) => load[figure]));
    const [rate, p50, p99] = [middle('rate'), middle('p50'), middle('p99')];
    log(`  ${connections} connections: ${rounded(rate)}/s, p99 ${rounded(p99)} ms`);
    return { connections, rate, p50, p99 };
  });
  return peaks.reduce((best, peak) => (peak.rate > best.rate ? peak : best));
}

/** How long the gateway may take after the overload until it answers as before. */
const NORMAL_MS_MAX = 5_000;

/** The peak's p99 is itself a measurement of two seconds. */
const NORMAL_P99_TIMES = 1.5;

/** Milliseconds until the gateway answers its ordinary load as at its peak; longer than the bound if it never does. */
async function untilNormal(peak: Peak, slice: () => Promise<ClosedLoopResult>): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const { responses, p99 } = await slice();
    const tookMs = performance.now() - startedAt;
    const onlyAccepted = Object.keys(responses).every((response) => response === '202');
    if (onlyAccepted && p99 <= peak.p99 * NORMAL_P99_TIMES) return tookMs;
    if (tookMs > NORMAL_MS_MAX) return tookMs;
  }
}

/** Three times as many purchases a second as the peak, whether or not earlier ones are answered. */
async function sendOpenLoop(bench: BenchEnvironment, port: number, peakRate: number) {
  const seconds = bench.quick ? 3 : 10;
  const { arrived, responses, acceptedInTime, p50, p99 } = await bench.generator.openLoop({
    port,
    perSecond: peakRate * TIMES,
    connectionsMax: CONNECTIONS_MAX,
    itemId: await putOnSale(bench.redis, PLENTY),
    prefix: freshPrefix(),
    measureMs: seconds * 1_000,
  });
  const rate = acceptedInTime / seconds;
  const table = {
    title: `${rounded(arrived / seconds)} purchases a second, over ${CONNECTIONS_MAX} connections`,
    head: ['', ''],
    rows: [
      ['accepted/s, and of the peak', `${rounded(rate)}  ${(rate / peakRate).toFixed(2)}`],
      ['p50 and p99 of the accepted from their arrival, ms', `${rounded(p50)}  ${rounded(p99)}`],
      ...Object.entries(responses),
    ],
  };
  return { table, responses };
}

/** A rejection is an answer of the contract; these are not. */
function errorsAmong(responses: Readonly<Record<string, number>>): string[] {
  return ['500', 'internal', 'broken']
    .filter((response) => responses[response] !== undefined)
    .map((response) => `${responses[response]} answers were "${response}"`);
}
