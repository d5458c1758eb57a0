import { withRedis } from '../../../platform/redis';
import type { BenchContext, Suite } from '../ground/context';
import { layGround, startEngineProcess, startRival } from '../ground/engine';
import { freshPrefix, putOnSale } from '../ground/items';
import type { Figure, SuiteResult } from '../report/figure';
import { contest, ratio, type Contestant, type Standing } from './contest';
import { standingsTable } from './contest-table';

const CONNECTIONS = [16, 64, 256];

/** More than a bench can buy: here every purchase is to be accepted. */
const UNITS = 100_000_000;

export const OURS = 'api';
const BEFORE = 'api of --against';

/**
 * Accepted orders per second. Ingest and worker do not run: two cores are shared by the gateway, Redis, Kafka and the
 * load generator as it is, and what is behind the door has a suite of its own.
 */
export const door: Suite = {
  about: 'accepted orders/s at 16, 64 and 256 connections, against bare Koa and the usual design',
  run: async (context) => {
    const ground = await layGround(context);
    const itemId = await withRedis(context.stack.redisAddr, (redis) => putOnSale(redis, UNITS));
    const processes = [await startEngineProcess(context, 'api', ground)];
    const names = [OURS];
    if (context.against !== undefined) {
      processes.push(
        await startEngineProcess(context, 'api', ground, { checkout: context.against }),
      );
      names.push(BEFORE);
    }
    for (const rival of ['bare', 'parsing', 'usual']) {
      processes.push(await startRival(context, rival, ground));
      names.push(rival);
    }
    const results: SuiteResult[] = [];
    for (const connections of context.connections ?? CONNECTIONS) {
      const contestants = processes.map(({ pid, port }, index): Contestant => {
        const name = names[index] ?? '';
        const plan = () => {
          const purchases = { kind: 'fresh' as const, itemId, prefix: freshPrefix() };
          return { port, connections, purchases, wantedStatus: 202 };
        };
        return { name, pid, plan };
      });
      results.push(
        judge(context, connections, await contest(context, `door ${connections}`, contestants)),
      );
    }
    for (const { stop } of processes) await stop();
    return {
      tables: results.flatMap(({ tables }) => tables),
      figures: results.flatMap(({ figures }) => figures),
      violations: [],
    };
  },
};

function judge(
  context: BenchContext,
  connections: number,
  standings: Map<string, Standing>,
): SuiteResult {
  const at = `at ${connections} connections`;
  const table = standingsTable(`door ${at}`, standings, ['parsing', 'usual']);
  const figures: Figure[] = [];
  if (connections >= 64) {
    figures.push(
      {
        what: `rate ${at}, of Koa with parsing`,
        value: ratio(standings, 'rate', [OURS, 'parsing']),
        bar: { atLeast: 0.35, stretch: 0.5 },
      },
      {
        what: `rate ${at}, of the usual design`,
        value: ratio(standings, 'rate', [OURS, 'usual']),
        bar: { atLeast: 2 },
      },
      {
        what: `p99 ${at}, of the usual design's`,
        value: ratio(standings, 'p99', [OURS, 'usual']),
        bar: { atMost: 1 },
      },
    );
  }
  if (context.against !== undefined) {
    context.report(
      `  door ${at}: ${ratio(standings, 'rate', [OURS, BEFORE]).toFixed(2)} of the rate of --against`,
    );
  }
  return { tables: [table], figures, violations: [] };
}
