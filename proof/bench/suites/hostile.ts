import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { LOOPBACK } from '../../../platform/machine';
import { startGenerator } from '../children';
import { createEngine, type Suite } from '../environment';
import type { Attack } from '../load/hostile';
import { rounded } from '../report';
import { median } from '../statistics';
import { buyAll, freshPurchases, PLENTY, putOnSale } from './sale';

const CONNECTIONS = 64;
const ATTACKS: readonly Attack[] = [
  'pipelining',
  'idle connections',
  'slow bodies',
  'event streams',
];

/**
 * Honest buyers beside a hostile client, and beside the same client aimed at a listener that does nothing, in turns: what
 * the client takes from the machine counts on both sides, what it takes from the gateway only on one.
 */
export const hostile: Suite = {
  about: `buyers on ${CONNECTIONS} connections beside a client that wants the gateway for itself`,
  onlyByName: true,
  run: async (bench) => {
    const { generator, redis, quick, log, signal } = bench;
    const api = await (await createEngine(bench)).start('api');
    const attacker = startGenerator();
    bench.onEnd(attacker.stop);
    // It accepts connections and reads nothing: an attack on it soon waits, and costs little.
    const idle = createServer({ pauseOnConnect: true }).listen(0, LOOPBACK);
    await once(idle, 'listening');
    bench.onEnd(() => idle.close());
    const idlePort = (idle.address() as AddressInfo).port;

    const itemId = await putOnSale(redis, PLENTY);
    const order = freshPurchases(itemId);
    await buyAll(bench, { port: api.port, connections: 1, purchases: order, count: 1 });
    const [warmMs, measureMs] = quick ? [1_000, 1_000] : [4_000, 7_500];
    const buyBeside = async (attack: Attack, port: number) => {
      const ms = warmMs + measureMs + 500;
      const plan = { port, attack, requestId: `${order.prefix}-0`, ms };
      const attacking = attacker.hostile(plan);
      const load = await generator.closedLoop({
        port: api.port,
        connections: CONNECTIONS,
        purchases: freshPurchases(itemId),
        wantedStatus: 202,
        warmMs,
        measureMs,
      });
      return { ...load, ...(await attacking) };
    };

    const rows: string[][] = [];
    const figures: { what: string; value: number; bar: { atLeast: number } }[] = [];
    const violations: string[] = [];
    for (const attack of ATTACKS) {
      signal.throwIfAborted();
      const before = await buyBeside(attack, idlePort);
      const beside = [await buyBeside(attack, api.port), await buyBeside(attack, api.port)];
      const after = await buyBeside(attack, idlePort);
      const rate = median(beside.map((load) => load.rate));
      const undisturbed = median([before.rate, after.rate]);
      const value = rate / undisturbed;
      const p99 = (loads: readonly { p99: number }[]) => rounded(median(loads.map((l) => l.p99)));
      const broken = beside.map(({ responses }) => responses['broken'] ?? 0);
      rows.push([
        attack,
        rounded(undisturbed),
        rounded(rate),
        rounded(value),
        `${p99([before, after])}, ${p99(beside)}`,
        broken.join(', '),
        beside.map(({ opened, closed }) => `${opened}, ${closed}`).join('; '),
      ]);
      log(`  ${attack}: ${rounded(rate)}/s of ${rounded(undisturbed)}/s`);
      figures.push({ what: `accepted/s beside ${attack}`, value, bar: { atLeast: 0.8 } });
      const failed = Object.keys(beside[0]?.responses ?? {}).filter((one) => one.startsWith('5'));
      if (failed.length > 0) violations.push(`${attack}: honest buyers got ${failed.join(', ')}`);
    }
    await attacker.stop();
    await api.stop();
    return {
      tables: [
        {
          title: `${CONNECTIONS} honest connections beside a hostile client`,
          head: [
            'attack',
            'accepted/s beside it elsewhere',
            'here',
            'ratio',
            'p99 ms elsewhere, here',
            'broken',
            'connections it opened, and lost',
          ],
          rows,
        },
      ],
      figures,
      violations,
    };
  },
};
