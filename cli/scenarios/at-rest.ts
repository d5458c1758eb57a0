import { setTimeout as sleep } from 'node:timers/promises';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { ItemId } from '../../engine/orders/order';
import type { ItemBody } from '../gateway/gateway-answers';
import type { Scene } from './scene';
import { UserError } from '../../platform/user-error';

/** An item with nothing under way any more. */
export interface Rest {
  readonly item: ItemBody;
  readonly entries: ReadonlyMap<string, LedgerEntry>;
}

/**
 * Waits until every order of the item is sold or released and owes nothing. Throws a UserError that says what is still
 * under way when the bound is over.
 */
export async function atRest(scene: Scene, itemId: ItemId): Promise<Rest> {
  const { restMsMax, pollMs } = scene.bounds;
  const deadline = performance.now() + restMsMax;
  for (;;) {
    const found = await scene.watcher.item(itemId);
    if (!found) throw new UserError(`The gateway does not know the item ${itemId}.`);
    const item = found.parsed;
    const underWay = item.held + item.queued + item.reserved;
    const entries = underWay === 0 ? await scene.entries(itemId) : undefined;
    const owing = [...(entries?.values() ?? [])].filter(
      ({ unresolvedCharges }) => unresolvedCharges.length > 0,
    ).length;
    if (entries && owing === 0) return { item, entries };
    if (performance.now() >= deadline) {
      throw new UserError(
        `${itemId} has not come to rest within ${restMsMax / 1000} s: units held ${item.held}, queued ${item.queued}, reserved ${item.reserved}; orders with money to settle ${owing}. Do ingest and worker run? (flash-sale doctor)`,
      );
    }
    await sleep(pollMs);
  }
}
