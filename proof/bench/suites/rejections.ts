import { withRedis } from '../../../platform/redis';
import { freshPrefix, putOnSale } from '../ground/items';
import type { BenchContext, Suite } from '../ground/context';
import { layGround, startEngineProcess, startRival, type BenchProcess } from '../ground/engine';
import type { ClosedLoopPlan, Purchases } from '../load/plan';
import { standingsTable } from './contest-table';
import { contest, ratio } from './contest';
import { OURS } from './door';

const CONNECTIONS = 64;

/** So many orders are there to be asked for again; a crowd repeats the orders of a few seconds. */
const ORDERS = 2_000;

/** A first request for an item must not find a ledger that is still empty: these few are bought before it is measured. */
const LAST_UNITS = 50;

/** Each way to say no, against Koa that reads the same body, parses it and says yes. */
export const soldOut = rejection('sold-out', 'purchases that find no unit', {
  bar: 0.8,
  status: 409,
  prepare: async (context, { port }) => {
    const itemId = await withRedis(context.stack.redisAddr, (redis) =>
      putOnSale(redis, LAST_UNITS),
    );
    await accept(context, port, fresh(itemId), LAST_UNITS);
    return () => fresh(itemId);
  },
});

export const duplicate = rejection('duplicate', 'the same requests again', {
  bar: 0.5,
  status: 409,
  prepare: async (context, { port }) => {
    const itemId = await withRedis(context.stack.redisAddr, (redis) => putOnSale(redis, ORDERS));
    const purchases = fresh(itemId);
    await accept(context, port, purchases, ORDERS);
    return () => ({ ...purchases, kind: 'repeated', count: ORDERS });
  },
});

export const invalid = rejection('invalid', 'bodies with a field that is wrong', {
  bar: 0.9,
  status: 400,
  prepare: () => {
    const body = '{"user_id":"u-1","item_id":"101","amount":0,"request_id":"req-0123456789ab-1"}';
    return Promise.resolve(() => ({ kind: 'same', body }));
  },
});

interface Kind {
  readonly bar: number;
  readonly status: number;
  /** Brings the gateway to where it says no; answers what is then asked for, anew for each round. */
  readonly prepare: (context: BenchContext, api: BenchProcess) => Promise<() => Purchases>;
}

function rejection(name: string, about: string, { bar, status, prepare }: Kind): Suite {
  return {
    about: `requests/s of ${about}, against Koa with parsing`,
    run: async (context) => {
      const ground = await layGround(context);
      const api = await startEngineProcess(context, 'api', ground);
      const parsing = await startRival(context, 'parsing', ground);
      const purchases = await prepare(context, api);
      const plan = ({ port }: BenchProcess, wantedStatus: number) => ({
        ...{ port, connections: CONNECTIONS, purchases: purchases(), wantedStatus },
      });
      const standings = await contest(context, name, [
        { name: OURS, pid: api.pid, plan: () => plan(api, status) },
        { name: 'parsing', pid: parsing.pid, plan: () => plan(parsing, 202) },
      ]);
      await Promise.all([api.stop(), parsing.stop()]);
      const value = ratio(standings, 'rate', [OURS, 'parsing']);
      const what = `${name}, of Koa with parsing`;
      return {
        tables: [standingsTable(`${name}, ${CONNECTIONS} connections`, standings, ['parsing'])],
        figures: [{ what, value, bar: { atLeast: bar } }],
        violations: [],
      };
    },
  };
}

function fresh(itemId: string): Extract<Purchases, { kind: 'fresh' }> {
  return { kind: 'fresh', itemId, prefix: freshPrefix() };
}

/** Buys the first `count` purchases. Throws unless every one is accepted. */
async function accept(
  { generator }: BenchContext,
  port: number,
  purchases: Purchases,
  count: number,
): Promise<void> {
  const plan: Omit<ClosedLoopPlan, 'kind'> = {
    ...{ port, purchases, connections: 16, wantedStatus: 202, requestsMax: count },
    ...{ warmMs: 0, measureMs: 60_000 },
  };
  const { answers } = await generator.closedLoop(plan);
  if (answers['202'] !== count) {
    throw new Error(`Of ${count} purchases not all were accepted: ${JSON.stringify(answers)}`);
  }
}
