import type { InstanceProcess } from '../../../stack/engine-instance';
import { compare, comparisonTable, ratio } from '../comparison';
import { createEngine, type BenchEnvironment, type Suite } from '../environment';
import type { Purchases } from '../load/plan';
import { OWN, startGateway } from './door';
import { buyAll, freshPurchases, putOnSale } from './sale';

const CONNECTIONS = 64;

/** So many orders are there to be repeated; a crowd repeats the orders of a few seconds. */
const ORDERS = 2_000;

/** Bought before the measurement, since the first request for an item opens its ledger. */
const LAST_UNITS = 50;

export const soldOut = rejection('sold-out', 'purchases that find no unit', {
  bar: 0.8,
  status: 409,
  prepare: async (bench, { port }) => {
    const itemId = await putOnSale(bench.redis, LAST_UNITS);
    const purchases = freshPurchases(itemId);
    await buyAll(bench, { port, connections: 16, purchases, count: LAST_UNITS });
    return () => freshPurchases(itemId);
  },
});

export const duplicate = rejection('duplicate', 'the same requests again', {
  bar: 0.5,
  status: 409,
  prepare: async (bench, { port }) => {
    const purchases = freshPurchases(await putOnSale(bench.redis, ORDERS));
    await buyAll(bench, { port, connections: 16, purchases, count: ORDERS });
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

/** One way to reject, against Koa that reads the same body, parses it and accepts. */
function rejection(
  name: string,
  about: string,
  kind: {
    readonly bar: number;
    readonly status: number;
    /** Brings the gateway to where it rejects. Returns what to send then, called for each turn. */
    readonly prepare: (bench: BenchEnvironment, api: InstanceProcess) => Promise<() => Purchases>;
  },
): Suite {
  return {
    about: `requests/s of ${about}, against Koa with parsing`,
    run: async (bench) => {
      const engine = await createEngine(bench);
      const api = await engine.start('api');
      const parsing = await startGateway(bench, 'parsing', engine.topics.ordersTopic);
      const purchases = await kind.prepare(bench, api);
      const plan = (port: number, wantedStatus: number) => () => ({
        port,
        connections: CONNECTIONS,
        purchases: purchases(),
        wantedStatus,
      });
      const comparison = await compare(bench, name, [
        { name: OWN, pid: api.pid(), plan: plan(api.port, kind.status) },
        { name: parsing.name, pid: parsing.pid, plan: plan(parsing.port, 202) },
      ]);
      await parsing.stop();
      await engine.stop();
      const value = ratio(comparison, 'rate', [OWN, parsing.name]);
      const title = `${name}, ${CONNECTIONS} connections`;
      return {
        tables: [comparisonTable(title, comparison, [parsing.name])],
        figures: [{ what: `${name}, of Koa with parsing`, value, bar: { atLeast: kind.bar } }],
        violations: [],
      };
    },
  };
}
