import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchEnvironment } from './environment';
import type { ClosedLoopPlan, ClosedLoopResult } from './load/closed-loop';
import { rounded, type ReportTable } from './report';
import { median } from './statistics';
import { startMeter, type PartPids } from './usage';

/** A gateway that is measured beside others, under the same load. */
export interface Contender {
  readonly name: string;
  readonly pid: number;
  /** The load for one turn, without the times. */
  readonly plan: () => Omit<ClosedLoopPlan, 'warmMs' | 'measureMs'>;
}

/** What each contender has shown, by its name. */
export type Comparison = ReadonlyMap<string, ReturnType<typeof summarize>>;

const PAUSE_MS = 100;

/** The first round is this many turns long: after one turn, the gateway still took 130 µs for an order, later 100. */
const WARM_UP_TURNS = 3;

/**
 * Lets contenders take turns, A B C C B A …, so that other load on the machine meets all of them alike, and so does what
 * the turn before leaves behind: in a fixed order, one of them would always follow the one that gives the broker most to
 * do. The first round is not counted: it compiles their code and fills their connections.
 */
export async function compare(
  bench: BenchEnvironment,
  title: string,
  contenders: readonly Contender[],
): Promise<Comparison> {
  const { generator, quick, log, signal, stack } = bench;
  const [rounds, warmMs, measureMs] = quick ? [1, 200, 800] : [6, 300, 2_000];
  const turns = new Map<string, Turn[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const { name, pid, plan } of round % 2 === 0 ? contenders : contenders.toReversed()) {
      signal.throwIfAborted();
      // The turn before leaves work behind, such as the broker's writing, which must not count as this one's.
      await sleep(PAUSE_MS, undefined, { signal });
      const servers = [...stack.pids].filter(([part]) => part === 'redis' || part === 'kafka');
      const pids: PartPids = [['gateway', pid], ...servers];
      const meter = startMeter(pids);
      const load = await generator.closedLoop({
        ...plan(),
        warmMs,
        measureMs: round === 0 ? WARM_UP_TURNS * measureMs : measureMs,
      });
      if (round === 0) continue;
      // The warm-up costs CPU, too, at about the same rate.
      const share = load.tookMs / (load.tookMs + warmMs);
      const cpuMs = new Map([...meter()].map(([part, used]) => [part, used * share]));
      turns.set(name, [...(turns.get(name) ?? []), { load, cpuMs }]);
      log(`  ${title}, round ${round} of ${rounds}: ${name} ${Math.round(load.rate)}/s`);
    }
  }
  return new Map(
    contenders.map(({ name, plan }) => [name, summarize(turns.get(name) ?? [], plan())]),
  );
}

interface Turn {
  readonly load: ClosedLoopResult;
  /** By part. */
  readonly cpuMs: ReadonlyMap<string, number>;
}

/** Medians over the rounds. */
function summarize(turns: readonly Turn[], { wantedStatus }: { wantedStatus: number }) {
  const wanted = String(wantedStatus);
  const others: Record<string, number> = {};
  for (const { load } of turns) {
    for (const [response, count] of Object.entries(load.responses)) {
      if (response !== wanted) others[response] = (others[response] ?? 0) + count;
    }
  }
  const micros = (part: string) =>
    median(
      turns.map(
        ({ load, cpuMs }) => ((cpuMs.get(part) ?? NaN) * 1_000) / (load.responses[wanted] ?? NaN),
      ),
    );
  const loads = turns.map(({ load }) => load);
  return {
    rate: median(loads.map(({ rate }) => rate)),
    p50: median(loads.map(({ p50 }) => p50)),
    p99: median(loads.map(({ p99 }) => p99)),
    /** CPU per wanted response: of the gateway's process, and of the servers behind all gateways. */
    cpuMicros: { gateway: micros('gateway'), redis: micros('redis'), kafka: micros('kafka') },
    /** Responses that were not wanted, in all rounds. */
    others,
    rounds: loads,
  };
}

/** The median, over the rounds, of one contender's figure divided by another's in the same round. */
export function ratio(
  comparison: Comparison,
  figure: 'rate' | 'p99',
  [one, other]: readonly [string, string],
): number {
  const others = comparison.get(other)?.rounds ?? [];
  return median(
    (comparison.get(one)?.rounds ?? []).map(
      (load, round) => load[figure] / (others[round]?.[figure] ?? NaN),
    ),
  );
}

/** The comparison for people. A column for each of `baselines` has the rate as a ratio to its rate. */
export function comparisonTable(
  title: string,
  comparison: Comparison,
  baselines: readonly string[],
): ReportTable {
  const list = (others: Readonly<Record<string, number>>) =>
    Object.entries(others)
      .map(([response, count]) => `${count} × ${response}`)
      .join(', ');
  return {
    title,
    head: [
      'gateway',
      'answers/s',
      'p50 ms',
      'p99 ms',
      'CPU µs each',
      'Redis µs',
      'Kafka µs',
      ...baselines.map((baseline) => `of ${baseline}`),
      'other answers',
    ],
    rows: [...comparison].map(([name, { rate, p50, p99, cpuMicros, others }]) => [
      name,
      rounded(rate),
      rounded(p50),
      rounded(p99),
      rounded(cpuMicros.gateway),
      rounded(cpuMicros.redis),
      rounded(cpuMicros.kafka),
      ...baselines.map((baseline) => ratio(comparison, 'rate', [name, baseline]).toFixed(2)),
      list(others) || '-',
    ]),
  };
}
