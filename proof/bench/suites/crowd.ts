import { withRedis } from '../../../platform/redis';
import type { BenchContext, Suite } from '../ground/context';
import { layGround } from '../ground/engine';
import { startWholeEngine } from '../ground/whole-engine';
import { freshPrefix, putOnSale } from '../ground/items';
import { entriesOf } from '../../../engine/stock/stored-entry';
import type { SuiteResult } from '../report/figure';
import { rounded } from '../report/text';
import { checkBooks } from './books';
import { watchDrain } from './watch-drain';
import type { RedisConnection } from '../../../platform/redis';

const UNITS = 500;
const UNITS_PER_USER = 2;
const BUYERS = 20_000;
const QUICK_BUYERS = 2_000;
const QUICK_UNITS = 50;
const CONNECTIONS = 256;
const CROWD_MS_MAX = 180_000;
const PRICE_MINOR = 1_000;

/** The sale itself, from the first click to the last outcome; what was promised is held against the books afterwards. */
export const crowd: Suite = {
  about: '20,000 impatient buyers, 500 units, two per user, one payment in ten declined',
  run: (context) => withRedis(context.stack.redisAddr, (redis) => run(context, redis)),
};

async function run(context: BenchContext, redis: RedisConnection): Promise<SuiteResult> {
  const { quick, generator, report, signal } = context;
  const engine = await startWholeEngine(context, await layGround(context));
  const [buyers, units] = quick ? [QUICK_BUYERS, QUICK_UNITS] : [BUYERS, UNITS];
  const itemId = await putOnSale(redis, units, { units_per_user: UNITS_PER_USER });
  const result = await generator.crowd({
    ...{ port: engine.api.port, connections: CONNECTIONS, buyers, itemId },
    ...{ prefix: freshPrefix(), msMax: CROWD_MS_MAX },
  });
  await watchDrain({ redis, itemId, size: units, pids: new Map(), report, signal });
  const entries = [...(await entriesOf(redis, itemId)).values()];
  const sold = entries.filter(({ state }) => state === 'sold');
  const soldUnits = sold.reduce((sum, entry) => sum + entry.units, 0);
  const firstAt = Math.min(...entries.map(({ acceptedAt }) => acceptedAt));
  const lastAt = Math.max(...sold.map(({ finishedAt = NaN }) => finishedAt));
  const violations = await checkBooks({
    ...{ redis, itemId, supply: units, accepted: result.accepted },
    ...{ payments: engine.payments, priceMinor: PRICE_MINOR, unitsPerUser: UNITS_PER_USER },
  });
  for (const answer of ['500', 'internal', 'request-id-reused']) {
    const count = result.answers[answer] ?? 0;
    if (count > 0) violations.push(`${count} buyers were answered ${answer}`);
  }
  await engine.stop();
  const asked = Object.values(result.answers).reduce((sum, count) => sum + count, 0);
  return {
    tables: [
      {
        title: `crowd: ${buyers} buyers, ${units} units`,
        head: ['', ''],
        rows: [
          ['units sold', `${soldUnits} of ${units}`],
          ['orders accepted', result.accepted.length],
          ['orders failed (declined, units back on sale)', entries.length - sold.length],
          [
            'from the first accepted order to the last unit sold, s',
            rounded((lastAt - firstAt) / 1_000),
          ],
          ['until every buyer had a definite answer, s', rounded(result.tookMs / 1_000)],
          ['buyers who gave up', result.unserved],
          ['requests', asked],
          ['answers in ms: p50, p99', `${rounded(result.p50)}, ${rounded(result.p99)}`],
        ],
      },
      {
        title: 'answers by kind',
        head: ['answer', 'times'],
        rows: Object.entries(result.answers).toSorted(([, a], [, b]) => b - a),
      },
    ],
    figures: [{ what: 'broken promises', value: violations.length, bar: { atMost: 0 } }],
    violations,
  };
}
