import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from '../../../platform/redis';
import type { ItemId } from '../../../engine/orders/order';
import type { Report } from '../../../stack/ground/report';
import { stockOf } from '../ground/items';
import { usageOf } from '../ground/usage';

/** One look at a drain. */
export interface DrainSample {
  /** Since the watch began. */
  readonly atMs: number;
  /** Orders accepted and not final; every order here is one unit. */
  readonly open: number;
  readonly memoryMb: ReadonlyMap<string, number>;
}

const LOOK_EVERY_MS = 1_000;
const TELL_EVERY_MS = 10_000;
/** Ten times what an order takes on a small machine: a drain that is slower has come to a stop. */
const ORDER_MS_MAX = 300;
const DRAIN_MS_MIN = 60_000;

/** Looks at the item once a second until all of its `size` units are sold or free again. Throws when that takes too long. */
export async function watchDrain(drain: {
  readonly redis: RedisConnection;
  readonly itemId: ItemId;
  readonly size: number;
  readonly pids: ReadonlyMap<string, number>;
  readonly report: Report;
  readonly signal: AbortSignal;
}): Promise<DrainSample[]> {
  const { redis, itemId, size, pids, report, signal } = drain;
  const startedAt = performance.now();
  const deadline = startedAt + DRAIN_MS_MIN + size * ORDER_MS_MAX;
  const samples: DrainSample[] = [];
  let toldAt = startedAt;
  let begun = false;
  for (;;) {
    await sleep(LOOK_EVERY_MS, undefined, { signal });
    const { held, queued, reserved, sold } = await stockOf(redis, itemId);
    const now = performance.now();
    const open = held + queued + reserved;
    const memoryMb = new Map([...pids].map(([name, pid]) => [name, usageOf(pid).memoryMb]));
    samples.push({ atMs: now - startedAt, open, memoryMb });
    begun ||= open > 0 || sold > 0;
    if (begun && open === 0) return samples;
    if (now - toldAt > TELL_EVERY_MS) {
      toldAt = now;
      report(`  ... ${open} of ${size} orders are open`);
    }
    if (now > deadline) throw new Error(`${open} of ${size} orders are still open`);
  }
}
