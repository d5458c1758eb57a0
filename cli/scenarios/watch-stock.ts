import { setTimeout as sleep } from 'node:timers/promises';
import type { ItemId } from '../../engine/orders/order';
import { GatewayFault } from '../gateway/gateway';
import type { ItemBody } from '../gateway/gateway-answers';
import type { Scene } from './scene';

export interface Watched {
  readonly looks: number;
  /** What no look may ever show. */
  readonly misses: readonly string[];
}

/** Twenty looks a second: a look costs the engine one read. */
const LOOK_MS = 50;

/** Looks at an item's stock, as anybody can, while `work` runs; at least once. Throws what `work` throws. */
export async function watchStock<T>(
  scene: Scene,
  itemId: ItemId,
  supply: number,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly watched: Watched }> {
  let isDone = false;
  let looks = 0;
  const misses: string[] = [];
  const look = async () => {
    const item = await scene.watcher.item(itemId).catch(unanswered);
    if (item === 'unanswered') return;
    looks += 1;
    misses.push(...(item ? imbalance(item.parsed, supply) : ['the item has vanished']));
  };
  const watch = async () => {
    do {
      await look();
      await sleep(LOOK_MS);
    } while (!isDone);
  };
  const working = work().finally(() => {
    isDone = true;
  });
  // Both to their end, whichever fails: what is left running would disturb the next scenario.
  const [worked, watching] = await Promise.allSettled([working, watch()]);
  if (worked.status === 'rejected') throw worked.reason;
  if (watching.status === 'rejected') throw watching.reason;
  if (looks === 0) misses.push('no look at the stock was answered');
  return { result: worked.value, watched: { looks, misses } };
}

/** What is wrong with these numbers of an item that was put on sale with `supply` units; nothing: no entries. */
export function imbalance(item: ItemBody, supply: number): string[] {
  const { free, held, queued, reserved, sold } = item;
  const taken = held + queued + reserved + sold;
  const numbers = `free ${free}, held ${held}, queued ${queued}, reserved ${reserved}, sold ${sold}, supply ${item.supply}`;
  const misses: string[] = [];
  if (taken > supply) misses.push(`oversold: ${taken} of ${supply} units taken (${numbers})`);
  if ([free, held, queued, reserved, sold].some((units) => units < 0)) {
    misses.push(`less than nothing: ${numbers}`);
  }
  if (free + taken !== item.supply) misses.push(`does not add up: ${numbers}`);
  if (item.supply !== supply) misses.push(`supply moved from ${supply}: ${numbers}`);
  return misses;
}

/** A gateway under a burst may refuse a look; that says nothing about the stock. */
function unanswered(error: unknown): 'unanswered' {
  if (error instanceof GatewayFault) return 'unanswered';
  throw error;
}
