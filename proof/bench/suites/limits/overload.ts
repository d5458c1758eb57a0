import { withRedis, type RedisConnection } from '../../../../platform/redis';
import type { BenchContext, Suite } from '../../ground/context';
import { layGround, startEngineProcess, type BenchProcess } from '../../ground/engine';
import { freshPrefix, putOnSale, stockOf } from '../../ground/items';
import { usageOf } from '../../ground/usage';
import type { ReportTable, SuiteResult } from '../../report/figure';
import { rounded } from '../../report/text';
import { findPeak, untilNormal, type Peak } from './peak';
import { watchMemory } from './watch-memory';

/** More than a bench can buy. */
const UNITS = 100_000_000;
const TIMES = 3;
const SLICE_MS = 250;

/** For purchases that come whether or not those before are answered: as many as a load balancer keeps open. */
const CONNECTIONS_MAX = 1_500;

/**
 * Finds how much the gateway can take, then lets three times as many ask, none of whom heeds Retry-After. What is held
 * against the bars is that; beside it is told what becomes of three times as many purchases a second, whoever sends them.
 */
export const overload: Suite = {
  about: `${TIMES} times as many buyers as the gateway can take, for half a minute`,
  run: (context) => withRedis(context.stack.redisAddr, (redis) => run(context, redis)),
};

async function run(context: BenchContext, redis: RedisConnection): Promise<SuiteResult> {
  const { quick, generator, report } = context;
  const api = await startEngineProcess(context, 'api', await layGround(context));
  const warmItem = await putOnSale(redis, UNITS);
  const closedLoop = (connections: number, ms: readonly [number, number], itemId = warmItem) =>
    generator.closedLoop({
      ...{ port: api.port, connections, wantedStatus: 202, warmMs: ms[0], measureMs: ms[1] },
      purchases: { kind: 'fresh', itemId, prefix: freshPrefix() },
    });
  const peak = await findPeak(context, closedLoop);
  report(`  peak: ${rounded(peak.rate)}/s at ${peak.connections} connections`);

  const itemId = await putOnSale(redis, UNITS);
  const memory = watchMemory(api.pid);
  const connections = peak.connections * TIMES;
  const crowd = await closedLoop(connections, [0, quick ? 5_000 : 30_000], itemId);
  const normalMs = await untilNormal(peak, () => closedLoop(peak.connections, [0, SLICE_MS]));
  const memoryMb = memory.stop();
  // A peak that something else on the machine has pressed down would make the overload look good.
  const after = await closedLoop(peak.connections, quick ? [200, 800] : [300, 2_000]);
  const peakRate = Math.max(peak.rate, after.rate);
  const lost = (crowd.answers['202'] ?? 0) - (await stockOf(redis, itemId)).queued;
  const pouring = await pour(context, api, peak, await putOnSale(redis, UNITS));
  const violations = [
    ...faultsOf(crowd.answers),
    ...faultsOf(pouring.answers),
    ...(lost > 0 ? [`${lost} accepted orders are not in the ledger`] : []),
    ...(usageOf(api.pid).memoryMb === 0 ? ['the gateway has died'] : []),
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
          ...Object.entries(crowd.answers).map(([answer, count]) => row(answer, count)),
        ],
      },
      pouring.table,
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
}

/** Three times as many purchases a second as the peak, whether or not those before are answered. */
async function pour(
  { quick, generator }: BenchContext,
  { port }: BenchProcess,
  peak: Peak,
  itemId: string,
): Promise<{ table: ReportTable; answers: Readonly<Record<string, number>> }> {
  const seconds = quick ? 3 : 10;
  const { came, answers, perSecond, p50, p99 } = await generator.openLoop({
    ...{ port, perSecond: peak.rate * TIMES, connectionsMax: CONNECTIONS_MAX, itemId },
    ...{ prefix: freshPrefix(), measureMs: seconds * 1_000 },
  });
  // What is answered after the crowd has stopped coming is no throughput under load.
  const rate = perSecond.reduce((sum, count) => sum + count, 0) / seconds;
  const table = {
    title: `${rounded(came / seconds)} purchases a second, over ${CONNECTIONS_MAX} connections`,
    head: ['', ''],
    rows: [
      ['accepted/s, and of the peak', `${rounded(rate)}  ${(rate / peak.rate).toFixed(2)}`],
      ['p50 and p99 of the accepted from their coming, ms', `${rounded(p50)}  ${rounded(p99)}`],
      ...Object.entries(answers),
    ],
  };
  return { table, answers };
}

/** A refusal is an answer; these are none. */
function faultsOf(answers: Readonly<Record<string, number>>): string[] {
  return ['500', 'internal', 'broken']
    .filter((answer) => answers[answer] !== undefined)
    .map((answer) => `${answers[answer]} answers were "${answer}"`);
}
