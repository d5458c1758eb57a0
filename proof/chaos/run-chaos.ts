import { setMaxListeners } from 'node:events';
import type { ChaosCase } from './cases';
import { openLane, type Ground, type Lane } from './lane/lane';
import { runCase, type CaseResult } from './run-case';

export interface ChaosOptions {
  readonly cases: readonly ChaosCase[];
  /** How many orders a burst has. */
  readonly burstOrders: number;
  /** Engines that work through the cases side by side: most of a case is waiting. */
  readonly lanes: number;
  /** Told of each case as it ends. */
  readonly onResult: (result: CaseResult) => void;
}

/**
 * Runs the cases on `ground` and answers what they have shown, in their order. Throws, after everything that it has
 * started is ended, when the harness itself cannot go on.
 */
export async function runChaos(
  ground: Ground,
  { cases, lanes, burstOrders, onResult }: ChaosOptions,
): Promise<readonly CaseResult[]> {
  const results = new Map<ChaosCase, CaseResult>();
  const stopping = new AbortController();
  const signal = AbortSignal.any([ground.signal, stopping.signal]);
  // Every buyer who waits for the next try listens to it.
  setMaxListeners(0, signal);
  const queue = cases.values();

  const work = async () => {
    const lane: Lane = await openLane({ ...ground, signal });
    try {
      // The iterator is shared: every case goes to whoever asks next.
      for (const one of queue) {
        const result = await runCase(lane, one, burstOrders);
        results.set(one, result);
        onResult(result);
      }
    } finally {
      await lane.close();
    }
  };
  let fault: { readonly cause: unknown } | undefined;
  const working = Array.from({ length: Math.min(lanes, cases.length) }, () =>
    work().catch((cause: unknown) => {
      // What the other lanes throw from now on comes of being stopped.
      fault ??= { cause };
      stopping.abort();
    }),
  );
  await Promise.all(working);
  ground.signal.throwIfAborted();
  if (fault) throw fault.cause;
  return cases.flatMap((one) => results.get(one) ?? []);
}
