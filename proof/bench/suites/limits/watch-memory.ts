import { setTimeout as sleep } from 'node:timers/promises';
import { usageOf } from '../../ground/usage';

const LOOK_EVERY_MS = 500;

/** Looks at a process's memory until it is stopped, which answers it in MB at the beginning, 1/3, 2/3 and the end. */
export function watchMemory(pid: number): { readonly stop: () => number[] } {
  const stopping = new AbortController();
  const samples = [usageOf(pid).memoryMb];
  const watch = async () => {
    for (;;) {
      await sleep(LOOK_EVERY_MS, undefined, { signal: stopping.signal });
      samples.push(usageOf(pid).memoryMb);
    }
  };
  // It ends by being stopped.
  void Promise.allSettled([watch()]);
  return {
    stop: () => {
      stopping.abort();
      const at = (part: number) => samples[Math.round((samples.length - 1) * part)] ?? NaN;
      return [at(0), at(1 / 3), at(2 / 3), at(1)];
    },
  };
}
