import { once } from 'node:events';
import type { EngineProcess } from '../../../stack/engine-process';

/**
 * Starts a process again, without failpoints, whenever it ends by itself, until `over`: every deployment does the same.
 * A frozen process may end so when it goes on. Resolves to how often that was.
 */
export async function supervise(process: EngineProcess, over: AbortSignal): Promise<number> {
  const isOver = once(over, 'abort').then(() => true);
  const hasEnded = () => process.ended().then(() => false);
  let restarts = 0;
  while (!over.aborted && !(await Promise.race([hasEnded(), isOver]))) {
    await process.restart();
    restarts += 1;
  }
  return restarts;
}
