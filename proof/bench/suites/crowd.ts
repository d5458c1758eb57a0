import { unitsOf } from '../../../client/invariants';
import { readSnapshot } from '../../../client/snapshot';
import { startWholeEngine, type Suite } from '../environment';
import { rounded } from '../report';
import { watchDrain } from './drain-once';
import { findViolations, freshPrefix, putOnSale } from './sale';

const UNITS = 500;
const UNITS_PER_USER = 2;
const BUYERS = 20_000;
const QUICK_BUYERS = 2_000;
const QUICK_UNITS = 50;
const CONNECTIONS = 256;
const CROWD_MS_MAX = 180_000;

/** The whole sale, from the first click to the last outcome, and whether it kept every promise. */
export const crowd: Suite = {
  about: '20,000 impatient buyers, 500 units, two per user, one payment in ten declined',
  run: async (bench) => {
    const { quick, generator, redis } = bench;
    const engine = await startWholeEngine(bench);
    const [buyers, units] = quick ? [QUICK_BUYERS, QUICK_UNITS] : [BUYERS, UNITS];
    const itemId = await putOnSale(redis, units, { units_per_user: UNITS_PER_USER });
    const prefix = freshPrefix();
    const result = await generator.crowd({
      port: engine.api.port,
      connections: CONNECTIONS,
      buyers,
      itemId,
      prefix,
      msMax: CROWD_MS_MAX,
    });
    await watchDrain(bench, { itemId, size: units, pids: [] });
    const { entries } = await readSnapshot(redis, itemId);
    const orders = [...entries.values()];
    const sold = orders.filter(({ state }) => state === 'sold');
    const firstAt = Math.min(...orders.map(({ acceptedAt }) => acceptedAt));
    const lastAt = Math.max(...sold.map(({ finishedAt = NaN }) => finishedAt));
    const violations = await findViolations(redis, {
      itemId,
      supply: units,
      accepted: result.accepted,
      prefix,
      paymentUrl: engine.paymentUrl,
      unitsPerUser: UNITS_PER_USER,
    });
    for (const response of ['500', 'internal', 'request-id-reused']) {
      const count = result.responses[response] ?? 0;
      if (count > 0) violations.push(`${count} buyers were answered ${response}`);
    }
    await engine.stop();
    const requests = Object.values(result.responses).reduce((sum, count) => sum + count, 0);
    return {
      tables: [
        {
          title: `crowd: ${buyers} buyers, ${units} units`,
          head: ['', ''],
          rows: [
            ['units sold', `${unitsOf(entries, 'sold')} of ${units}`],
            ['orders accepted', result.accepted.length],
            ['orders failed (declined, units back on sale)', orders.length - sold.length],
            [
              'from the first accepted order to the last unit sold, s',
              rounded((lastAt - firstAt) / 1_000),
            ],
            ['until every buyer had a definite answer, s', rounded(result.tookMs / 1_000)],
            ['buyers without a definite answer', result.unserved],
            ['requests', requests],
            ['answers in ms: p50, p99', `${rounded(result.p50)}, ${rounded(result.p99)}`],
          ],
        },
        {
          title: 'answers by kind',
          head: ['answer', 'times'],
          rows: Object.entries(result.responses).toSorted(([, a], [, b]) => b - a),
        },
      ],
      figures: [{ what: 'broken promises', value: violations.length, bar: { atMost: 0 } }],
      violations,
    };
  },
};
