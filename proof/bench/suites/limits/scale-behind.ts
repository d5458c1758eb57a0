import type { RedisConnection } from '../../../../platform/redis';
import type { BenchContext } from '../../ground/context';
import { layGround } from '../../ground/engine';
import { freshPrefix, putOnSale } from '../../ground/items';
import { entriesOf } from '../../../../engine/stock/stored-entry';
import { startMeter, usageOf } from '../../ground/usage';
import { startWholeEngine } from '../../ground/whole-engine';
import type { ReportTable } from '../../report/figure';
import { rounded } from '../../report/text';
import { checkBooks } from '../books';
import { watchDrain } from '../watch-drain';
import { together } from './together';

const ORDERS = 200;
const QUICK_ORDERS = 60;
const ACCEPT_MS_MAX = 60_000;
const PRICE_MINOR = 1_000;

/** Copies of ingest and worker, each with a topic, a group and a task queue of its own. */
export async function scaleBehind(
  context: BenchContext,
  redis: RedisConnection,
  copiesOf: readonly number[],
): Promise<{ table: ReportTable; violations: string[] }> {
  const { generator, quick, report, signal, stack } = context;
  const size = quick ? QUICK_ORDERS : ORDERS;
  const rows: (string | number)[][] = [];
  const violations: string[] = [];
  const parts = ['ingest', 'worker', ...stack.pids.keys()];
  for (const copies of copiesOf) {
    signal.throwIfAborted();
    const engine = await startWholeEngine(context, await layGround(context), {
      ingest: copies,
      worker: copies,
    });
    const itemId = await putOnSale(redis, size);
    const pids = new Map([
      ...engine.processes.map(({ name, pid }): [string, number] => [`${name}:${pid}`, pid]),
      ...stack.pids,
    ]);
    const meter = startMeter(pids);
    const prefix = freshPrefix();
    await generator.closedLoop({
      ...{ port: engine.api.port, connections: 64, wantedStatus: 202, requestsMax: size },
      ...{ purchases: { kind: 'fresh', itemId, prefix }, warmMs: 0, measureMs: ACCEPT_MS_MAX },
    });
    await watchDrain({ redis, itemId, pids, report, signal, size });
    const cpuMs = together([...meter()]);
    const memory = together([...pids].map(([name, pid]) => [name, usageOf(pid).memoryMb]));
    const entries = [...(await entriesOf(redis, itemId)).values()];
    const firstAt = Math.min(...entries.map(({ acceptedAt }) => acceptedAt));
    const tookMs = Math.max(...entries.map(({ finishedAt = NaN }) => finishedAt)) - firstAt;
    const accepted = Array.from({ length: size }, (_, n) => `${prefix}-${n}`);
    violations.push(
      ...(await checkBooks({
        ...{ redis, itemId, supply: size, accepted },
        ...{ payments: engine.payments, priceMinor: PRICE_MINOR },
      })),
    );
    await engine.stop();
    const rate = (entries.length / tookMs) * 1_000;
    report(`  ${copies} of ingest and worker: ${rounded(rate)} orders/s`);
    rows.push([
      ...[copies, rounded(rate)],
      ...parts.map((part) => rounded((cpuMs.get(part) ?? 0) / size)),
      rounded(memory.get('worker') ?? NaN),
    ]);
  }
  const head = ['ingest, worker each', 'orders/s', ...parts, 'workers MB'];
  return {
    table: { title: `behind the door, ${size} orders: CPU ms per order`, head, rows },
    violations,
  };
}
