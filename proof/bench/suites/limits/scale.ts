import { cpus } from 'node:os';
import { withRedis, type RedisConnection } from '../../../../platform/redis';
import type { BenchContext, Suite } from '../../ground/context';
import { layGround, startEngineProcess } from '../../ground/engine';
import { freshPrefix, putOnSale } from '../../ground/items';
import { childrenOf, startMeter } from '../../ground/usage';
import type { ReportTable, SuiteResult } from '../../report/figure';
import { median } from '../../report/statistics';
import { rounded } from '../../report/text';
import { scaleBehind } from './scale-behind';
import { together } from './together';

const COPIES = [1, 2, 4];
const UNITS = 100_000_000;
const CONNECTIONS = 256;

/**
 * What more processes bring on this machine, and how much CPU each part uses meanwhile: where all cores are busy, more
 * processes can bring nothing, and the CPU per purchase or order says what they would bring with cores of their own.
 */
export const scale: Suite = {
  about: 'one, two and four processes of api, and of ingest and worker',
  run: (context) =>
    withRedis(context.stack.redisAddr, async (redis): Promise<SuiteResult> => {
      const door = await scaleDoor(context, redis);
      const behind = await scaleBehind(context, redis, COPIES);
      return { tables: [door, behind.table], figures: [], violations: behind.violations };
    }),
};

interface DoorTurn {
  readonly rate: number;
  readonly p99: number;
  readonly cores: ReadonlyMap<string, number>;
}

/** The gateways stay up and take turns, so that whatever else the machine does meets all of them alike. */
async function scaleDoor(context: BenchContext, redis: RedisConnection): Promise<ReportTable> {
  const { generator, quick, report, signal, stack } = context;
  const ground = await layGround(context);
  const gateways = [];
  for (const copies of COPIES) {
    const env = { API_PROCESSES: String(copies) };
    gateways.push({ copies, api: await startEngineProcess(context, 'api', ground, { env }) });
  }
  const itemId = await putOnSale(redis, UNITS);
  const [rounds, warmMs, measureMs] = quick ? [1, 200, 800] : [3, 300, 2_000];
  const turns = new Map<number, DoorTurn[]>(COPIES.map((copies) => [copies, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const { copies, api } of gateways) {
      signal.throwIfAborted();
      const pids = new Map([...familyOf('api', api.pid), ...stack.pids]);
      const meter = startMeter(pids);
      const { rate, p99, tookMs } = await generator.closedLoop({
        ...{ port: api.port, connections: CONNECTIONS, wantedStatus: 202, warmMs, measureMs },
        purchases: { kind: 'fresh', itemId, prefix: freshPrefix() },
      });
      if (round === 0) continue;
      const cores = together([...meter()].map(([name, ms]) => [name, ms / (tookMs + warmMs)]));
      turns.get(copies)?.push({ rate, p99, cores });
      report(`  ${copies} of api: ${rounded(rate)}/s`);
    }
  }
  for (const { api } of gateways) await api.stop();
  const parts = ['api', ...stack.pids.keys()];
  return {
    title: `the door, ${CONNECTIONS} connections: cores used of ${cpus().length}`,
    head: ['api processes', 'accepted/s', 'p99 ms', ...parts, 'api CPU µs each'],
    rows: [...turns].map(([copies, of]) => {
      const middle = (figure: (turn: DoorTurn) => number) => median(of.map(figure));
      const cores = (part: string) => middle((turn) => turn.cores.get(part) ?? 0);
      return [
        ...[copies, rounded(middle(({ rate }) => rate)), rounded(middle(({ p99 }) => p99))],
        ...parts.map((part) => cores(part).toFixed(2)),
        rounded(middle((turn) => ((turn.cores.get('api') ?? 0) / turn.rate) * 1e6)),
      ];
    }),
  };
}

/** The parent and the processes behind its port, all under one name. */
function familyOf(name: string, parent: number): [string, number][] {
  return [parent, ...childrenOf(parent)].map((pid) => [`${name}:${pid}`, pid]);
}
