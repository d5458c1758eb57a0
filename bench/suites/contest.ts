import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchContext } from '../ground/context';
import { startMeter } from '../ground/usage';
import type { ClosedLoopPlan, ClosedLoopResult } from '../load/plan';
import { median } from '../report/statistics';

/** Somebody who is measured beside others, under the same load. */
export interface Contestant {
  readonly name: string;
  readonly pid: number;
  /** The load for it in round `round`, without the times. */
  readonly plan: (round: number) => Omit<ClosedLoopPlan, 'kind' | 'warmMs' | 'measureMs'>;
}

export interface Standing {
  /** Medians over the rounds. */
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  /** CPU of the contestant's process per wanted answer, in µs. */
  readonly cpuMicros: number;
  /** Answers that were not wanted, in all rounds. */
  readonly others: Readonly<Record<string, number>>;
  readonly rounds: readonly ClosedLoopResult[];
}

const PAUSE_MS = 100;

/**
 * Lets contestants take turns, A B C A B C …, so that whatever else the machine does meets all of them alike. The
 * first round is not counted: it compiles their code and fills their connections.
 */
export async function contest(
  { generator, quick, report, signal }: BenchContext,
  what: string,
  contestants: readonly Contestant[],
): Promise<Map<string, Standing>> {
  const [rounds, warmMs, measureMs] = quick ? [1, 200, 800] : [5, 300, 2_000];
  const results = new Map<string, { load: ClosedLoopResult; cpuMs: number }[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const { name, pid, plan } of contestants) {
      signal.throwIfAborted();
      // What the one before has left to do, such as the broker's writing, is not to be the next one's burden.
      await sleep(PAUSE_MS, undefined, { signal });
      const meter = startMeter(new Map([[name, pid]]));
      const load = await generator.closedLoop({ ...plan(round), warmMs, measureMs });
      if (round === 0) continue;
      const cpuMs = meter().get(name) ?? 0;
      // The warm-up costs CPU, too, at about the same rate.
      const measured = cpuMs * (load.tookMs / (load.tookMs + warmMs));
      results.set(name, [...(results.get(name) ?? []), { load, cpuMs: measured }]);
      report(`  ${what}, round ${round} of ${rounds}: ${name} ${Math.round(load.rate)}/s`);
    }
  }
  return new Map(
    contestants.map(({ name, plan }) => [name, stand(results.get(name) ?? [], plan(0))]),
  );
}

function stand(
  results: readonly { load: ClosedLoopResult; cpuMs: number }[],
  { wantedStatus }: { wantedStatus: number },
): Standing {
  const others: Record<string, number> = {};
  for (const { load } of results) {
    for (const [answer, count] of Object.entries(load.answers)) {
      if (answer !== String(wantedStatus)) others[answer] = (others[answer] ?? 0) + count;
    }
  }
  const loads = results.map(({ load }) => load);
  return {
    rate: median(loads.map(({ rate }) => rate)),
    p50: median(loads.map(({ p50 }) => p50)),
    p99: median(loads.map(({ p99 }) => p99)),
    cpuMicros: median(
      results.map(
        ({ load, cpuMs }) => (cpuMs * 1_000) / (load.answers[String(wantedStatus)] ?? NaN),
      ),
    ),
    others,
    rounds: loads,
  };
}

/** The median, over the rounds, of one contestant's figure divided by another's in the same round. */
export function ratio(
  standings: ReadonlyMap<string, Standing>,
  figure: 'rate' | 'p99',
  [one, other]: readonly [string, string],
): number {
  const [ones, others] = [one, other].map((name) => standings.get(name)?.rounds ?? []);
  return median(
    (ones ?? []).map((load, round) => load[figure] / (others?.[round]?.[figure] ?? NaN)),
  );
}
