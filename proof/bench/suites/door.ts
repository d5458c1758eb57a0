import { randomBytes } from 'node:crypto';
import type { EngineInstance } from '../../../stack/engine-instance';
import { freePorts } from '../../../stack/settings';
import { startBaseline } from '../children';
import { compare, comparisonTable, ratio, type Comparison } from '../comparison';
import { createEngine, type BenchEnvironment, type Suite } from '../environment';
import { startIdentityProvider } from '../identity-provider';
import type { SuiteResult } from '../report';
import { freshPurchases, PLENTY, putOnSale } from './sale';

const CONNECTIONS = [16, 64, 256];

export const OWN = 'api';
const AGAINST = 'api of --against';

/**
 * Accepted orders per second. Ingest and worker do not run: the gateway, Redis, Kafka and the load generator already
 * share two cores, and the drain suite measures the rest.
 */
export const door: Suite = {
  about: 'accepted orders/s at 16, 64 and 256 connections, against bare Koa and the usual design',
  run: async (bench) => {
    const itemId = await putOnSale(bench.redis, PLENTY);
    const engine = await createEngine(bench);
    const gateways = [await startApi(OWN, engine)];
    if (bench.against) {
      const other = await createEngine({ ...bench, checkout: bench.against });
      gateways.push(await startApi(AGAINST, other));
    }
    for (const name of ['bare', 'parsing', 'usual']) {
      gateways.push(await startGateway(bench, name, engine.topics.ordersTopic));
    }
    const withTokens = bench.buyerAuth === 'jwt' ? await startWithTokens(bench) : [];
    const results: SuiteResult[] = [];
    for (const connections of bench.connections ?? CONNECTIONS) {
      const contenders = [
        ...gateways.map(({ name, port, pid }) => ({
          name,
          pid,
          plan: () => ({ port, connections, purchases: freshPurchases(itemId), wantedStatus: 202 }),
        })),
        ...withTokens.map(({ name, port, pid, tokensFile }) => ({
          name,
          pid,
          plan: () => {
            const prefix = randomBytes(4).toString('hex');
            const purchases = { kind: 'by-token' as const, itemId, prefix };
            return { port, connections, purchases, tokensFile, wantedStatus: 202 };
          },
        })),
      ];
      const comparison = await compare(bench, `door ${connections}`, contenders);
      results.push(resultAt(bench, connections, comparison));
    }
    for (const { stop } of gateways) await stop();
    return {
      tables: results.flatMap(({ tables }) => tables),
      figures: results.flatMap(({ figures }) => figures),
      violations: [],
    };
  },
};

async function startApi(name: string, engine: EngineInstance) {
  const { port, pid } = await engine.start('api');
  return { name, port, pid: pid(), stop: engine.stop };
}

/** A gateway remembers 50,000 verified tokens, the newest ones: of more that come in turn it knows none. */
const TOKENS = { 'api, known tokens': 1_000, 'api, new tokens': 60_000 };

/** Starts a gateway whose buyers have tokens, once for the tokens that it knows and once for those that it does not. */
async function startWithTokens(bench: BenchEnvironment) {
  const provider = await startIdentityProvider(bench);
  const { port, pid } = await startApi('', await createEngine(bench, provider.env));
  const started = Object.entries(TOKENS).map(async ([name, count]) => {
    return { name, port, pid, tokensFile: await provider.writeTokens(count) };
  });
  return Promise.all(started);
}

/** Starts a baseline of the gateway and waits until it listens. */
export async function startGateway(
  { stack, onEnd }: BenchEnvironment,
  name: string,
  ordersTopic: string,
) {
  const port = (await freePorts()).gateway;
  const args = [String(port), stack.redisAddr, stack.kafkaAddr, ordersTopic];
  const child = startBaseline(name, args);
  onEnd(child.stop);
  await child.ask({});
  return { name, port, pid: child.pid, stop: child.stop };
}

function resultAt(
  { against, log }: BenchEnvironment,
  connections: number,
  comparison: Comparison,
): SuiteResult {
  const at = `at ${connections} connections`;
  const rate = (other: string) => ratio(comparison, 'rate', [OWN, other]);
  if (against) log(`  door ${at}: ${rate(AGAINST).toFixed(2)} of the rate of --against`);
  return {
    tables: [comparisonTable(`door ${at}`, comparison, ['parsing', 'usual'])],
    figures:
      connections < 64
        ? []
        : [
            {
              what: `rate ${at}, of Koa with parsing`,
              value: rate('parsing'),
              bar: { atLeast: 0.35, stretch: 0.5 },
            },
            {
              what: `rate ${at}, of the usual design`,
              value: rate('usual'),
              bar: { atLeast: 2 },
            },
            {
              what: `p99 ${at}, of the usual design's`,
              value: ratio(comparison, 'p99', [OWN, 'usual']),
              bar: { atMost: 1 },
            },
          ],
    violations: [],
  };
}
