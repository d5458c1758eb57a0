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
  /** CPU per wanted answer, in µs: of the contestant's process, and of what all contestants use. */
  readonly cpuMicros: Readonly<Record<'gateway' | (typeof SHARED)[number], number>>;
  /** Answers that were not wanted, in all rounds. */
  readonly others: Readonly<Record<string, number>>;
  readonly rounds: readonly ClosedLoopResult[];
}

const PAUSE_MS = 100;

/** How many turns long the first is: after one, the gateway still took 130 µs for an order that later took it 100. */
const WARM_UP_TURNS = 3;

/** What is behind every gateway, by its name in the stack. */
export const SHARED = ['redis', 'kafka'] as const;

/**
 * Lets contestants take turns, A B C C B A …, so that whatever else the machine does meets all of them alike, and so
 * does what another one's turn leaves behind: were the order always the same, one of them would always come after the
 * one that gives the broker most to do. The first round is not counted: it compiles their code and fills their
 * connections.
 */
export async function contest(
  { generator, quick, report, signal, stack }: BenchContext,
  what: string,
  contestants: readonly Contestant[],
): Promise<Map<string, Standing>> {
  const [rounds, warmMs, measureMs] = quick ? [1, 200, 800] : [6, 300, 2_000];
  const results = new Map<string, Result[]>();
  for (let round = 0; round <= rounds; round++) {
    const turns = round % 2 === 0 ? contestants : contestants.toReversed();
    for (const { name, pid, plan } of turns) {
      signal.throwIfAborted();
      // What the one before has left to do, such as the broker's writing, is not to be the next one's burden.
      await sleep(PAUSE_MS, undefined, { signal });
      const shared = SHARED.flatMap((part): [string, number][] => {
        const sharedPid = stack.pids.get(part);
        return sharedPid === undefined ? [] : [[part, sharedPid]];
      });
      const meter = startMeter(new Map([['gateway', pid], ...shared]));
      const load = await generator.closedLoop({
        ...plan(round),
        warmMs,
        measureMs: round === 0 ? WARM_UP_TURNS * measureMs : measureMs,
      });
      if (round === 0) continue;
      // The warm-up costs CPU, too, at about the same rate.
      const share = load.tookMs / (load.tookMs + warmMs);
      const cpuMs = new Map([...meter()].map(([part, used]) => [part, used * share]));
      results.set(name, [...(results.get(name) ?? []), { load, cpuMs }]);
      report(`  ${what}, round ${round} of ${rounds}: ${name} ${Math.round(load.rate)}/s`);
    }
  }
  return new Map(
    contestants.map(({ name, plan }) => [name, stand(results.get(name) ?? [], plan(0))]),
  );
}

interface Result {
  readonly load: ClosedLoopResult;
  /** By part. */
  readonly cpuMs: ReadonlyMap<string, number>;
}

function stand(results: readonly Result[], { wantedStatus }: { wantedStatus: number }): Standing {
  const others: Record<string, number> = {};
  for (const { load } of results) {
    for (const [answer, count] of Object.entries(load.answers)) {
      if (answer !== String(wantedStatus)) others[answer] = (others[answer] ?? 0) + count;
    }
  }
  const loads = results.map(({ load }) => load);
  const micros = (part: string) =>
    median(
      results.map(
        ({ load, cpuMs }) =>
          ((cpuMs.get(part) ?? NaN) * 1_000) / (load.answers[String(wantedStatus)] ?? NaN),
      ),
    );
  return {
    rate: median(loads.map(({ rate }) => rate)),
    p50: median(loads.map(({ p50 }) => p50)),
    p99: median(loads.map(({ p99 }) => p99)),
    cpuMicros: { gateway: micros('gateway'), redis: micros('redis'), kafka: micros('kafka') },
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
