import type { BenchContext } from '../../ground/context';
import type { ClosedLoopResult } from '../../load/plan';
import { median } from '../../report/statistics';
import { rounded } from '../../report/text';

const CONNECTIONS = [64, 128, 256, 512];

/** How long after the crowd has left the gateway may take until it answers as before. */
const NORMAL_MS_MAX = 5_000;

/** The peak's p99 is itself a measurement of two seconds. */
const NORMAL_P99_TIMES = 1.5;

export interface Peak extends ClosedLoopResult {
  readonly connections: number;
}

/** The best of several numbers of connections; each is measured in turns, and the median round stands for it. */
export async function findPeak(
  { quick, report, signal }: BenchContext,
  closedLoop: (connections: number, ms: readonly [number, number]) => Promise<ClosedLoopResult>,
): Promise<Peak> {
  const rounds = quick ? 1 : 3;
  const results = new Map<number, ClosedLoopResult[]>(CONNECTIONS.map((count) => [count, []]));
  await closedLoop(256, [0, 2_000]);
  for (let round = 0; round < rounds; round++) {
    for (const [connections, list] of results) {
      signal.throwIfAborted();
      list.push(await closedLoop(connections, quick ? [200, 800] : [300, 2_000]));
    }
  }
  const peaks = [...results].map(([connections, list]): Peak => {
    const middle = (figure: 'rate' | 'p50' | 'p99') => median(list.map((load) => load[figure]));
    const [rate, p50, p99] = [middle('rate'), middle('p50'), middle('p99')];
    report(`  ${connections} connections: ${rounded(rate)}/s, p99 ${rounded(p99)} ms`);
    return { connections, rate, p50, p99, answers: {}, tookMs: 0 };
  });
  return peaks.reduce((best, peak) => (peak.rate > best.rate ? peak : best));
}

/** Milliseconds until the gateway answers its ordinary load as at its peak; longer than the bound if it never does. */
export async function untilNormal(
  peak: Peak,
  slice: () => Promise<ClosedLoopResult>,
): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const { answers, p99 } = await slice();
    const tookMs = performance.now() - startedAt;
    const onlyAccepted = Object.keys(answers).every((answer) => answer === '202');
    if (onlyAccepted && p99 <= peak.p99 * NORMAL_P99_TIMES) return tookMs;
    if (tookMs > NORMAL_MS_MAX) return tookMs;
  }
}
