import { cpus } from 'node:os';
import { createEngine, startWholeEngine, type BenchEnvironment, type Suite } from '../environment';
import { rounded, type ReportTable } from '../report';
import { median } from '../statistics';
import { startMeter } from '../usage';
import { drainOnce } from './drain-once';
import { freshPurchases, PLENTY, putOnSale } from './sale';

const COPIES = [1, 2, 4];
const CONNECTIONS = 256;
const ORDERS = 200;
const QUICK_ORDERS = 60;

/**
 * What more processes bring on this machine, and how much CPU each part uses meanwhile. Where all cores are busy, more
 * processes bring nothing, and the CPU per purchase or order says what they would bring with cores of their own.
 */
export const scale: Suite = {
  about: 'one, two and four processes of api, and of ingest and worker',
  run: async (bench) => {
    const gateways = await scaleGateways(bench);
    const workers = await scaleWorkers(bench);
    return { tables: [gateways, workers.table], figures: [], violations: workers.violations };
  },
};

interface Turn {
  readonly rate: number;
  readonly p99: number;
  readonly cores: ReadonlyMap<string, number>;
}

/** The gateways stay up and take turns, so that other load on the machine meets all of them alike. */
async function scaleGateways(bench: BenchEnvironment): Promise<ReportTable> {
  const { generator, quick, log, signal, stack } = bench;
  const engine = await createEngine(bench);
  const gateways = [];
  for (const copies of COPIES) {
    const api = await engine.start('api', { API_PROCESSES: String(copies) });
    gateways.push({ copies, api });
  }
  const itemId = await putOnSale(bench.redis, PLENTY);
  const [rounds, warmMs, measureMs] = quick ? [1, 200, 800] : [3, 300, 2_000];
  const turns = new Map<number, Turn[]>(COPIES.map((copies) => [copies, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const { copies, api } of gateways) {
      signal.throwIfAborted();
      const meter = startMeter([['api', api.pid()], ...stack.pids]);
      const { rate, p99, tookMs } = await generator.closedLoop({
        port: api.port,
        connections: CONNECTIONS,
        purchases: freshPurchases(itemId),
        wantedStatus: 202,
        warmMs,
        measureMs,
      });
      if (round === 0) continue;
      const cores = new Map([...meter()].map(([part, ms]) => [part, ms / (tookMs + warmMs)]));
      turns.get(copies)?.push({ rate, p99, cores });
      log(`  ${copies} of api: ${rounded(rate)}/s`);
    }
  }
  await engine.stop();
  const parts = ['api', ...stack.pids.keys()];
  return {
    title: `the door, ${CONNECTIONS} connections: cores used of ${cpus().length}`,
    head: ['api processes', 'accepted/s', 'p99 ms', ...parts, 'api CPU µs each'],
    rows: [...turns].map(([copies, of]) => {
      const middle = (figure: (turn: Turn) => number) => median(of.map(figure));
      const cores = (part: string) => middle((turn) => turn.cores.get(part) ?? 0);
      return [
        copies,
        rounded(middle(({ rate }) => rate)),
        rounded(middle(({ p99 }) => p99)),
        ...parts.map((part) => cores(part).toFixed(2)),
        rounded(middle((turn) => ((turn.cores.get('api') ?? 0) / turn.rate) * 1e6)),
      ];
    }),
  };
}

/** As many processes of ingest and of the worker, with a topic, a group and a task queue of their own. */
async function scaleWorkers(
  bench: BenchEnvironment,
): Promise<{ table: ReportTable; violations: string[] }> {
  const { quick, log, signal, stack } = bench;
  const size = quick ? QUICK_ORDERS : ORDERS;
  const parts = ['ingest', 'worker', ...stack.pids.keys()];
  const rows: (string | number)[][] = [];
  const violations: string[] = [];
  for (const copies of COPIES) {
    signal.throwIfAborted();
    const engine = await startWholeEngine(bench, copies);
    const drained = await drainOnce(bench, engine, size);
    await engine.stop();
    violations.push(...drained.violations);
    log(`  ${copies} of ingest and worker: ${rounded(drained.rate)} orders/s`);
    rows.push([
      copies,
      rounded(drained.rate),
      ...parts.map((part) => rounded(drained.cpuMsPerOrder.get(part) ?? 0)),
      rounded(drained.samples.at(-1)?.memoryMb.get('worker') ?? NaN),
    ]);
  }
  const head = ['ingest, worker each', 'orders/s', ...parts, 'workers MB'];
  return {
    table: { title: `behind the door, ${size} orders: CPU ms per order`, head, rows },
    violations,
  };
}
