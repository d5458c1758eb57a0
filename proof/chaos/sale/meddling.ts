import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Redis } from 'ioredis';
import type { LedgerEntry } from '../../../engine/orders/ledger';
import type { ItemId, Order, Purchase, RequestId, UserId } from '../../../engine/orders/order';
import { fingerprint } from '../../../engine/orders/fingerprint';
import { claimKey, claimValue } from '../../../engine/stock/keys';
import type { StockLedger } from '../../../engine/stock/stock-ledger';
import { ORDER_WORKFLOW } from '../../../engine/orders/contract';
import { orderStartOptions } from '../../../engine/orders/order-start';
import { CLAIM_MS_MAX } from '../books/evidence';
import type { Purchased } from './buyer';
import { hasTrait, type Wish } from './wishes';

/** A few times within a slow charge. */
const LOOK_EVERY_MS = 300;

/**
 * Releases each `lost` order as soon as it is reserved, under the present time as its fence: what a second run of the
 * workflow may do at any time. An order that is sold before anybody looks stays sold. Ends with `signal`.
 */
export async function loseSales(
  ledger: StockLedger,
  wishes: readonly Wish[],
  signal: AbortSignal,
): Promise<void> {
  let open = wishes.filter((one) => hasTrait(one, 'lost'));
  while (open.length > 0 && !signal.aborted) {
    const left: Wish[] = [];
    for (const one of open) if (!(await loseSale(ledger, one))) left.push(one);
    open = left;
    await sleep(LOOK_EVERY_MS);
  }
}

/** True once there is nothing more to do. */
async function loseSale(ledger: StockLedger, one: Wish): Promise<boolean> {
  const found = await ledger.findOrder(one.request_id as RequestId);
  if (!found || found.entry.state === 'held' || found.entry.state === 'queued') return false;
  if (found.entry.state === 'reserved') {
    const order = orderOf(one, found.entry);
    await ledger.release({ order, fence: Date.now(), reason: 'sale-lost' });
  }
  return true;
}

/** Starts a workflow under each `foreign` id, for an item that nobody sells. */
export async function occupyIds(
  client: Client,
  taskQueue: string,
  wishes: readonly Wish[],
): Promise<void> {
  for (const one of wishes.filter((candidate) => hasTrait(candidate, 'foreign'))) {
    const other = { ...one, item_id: `${one.item_id}-elsewhere` };
    const order = orderOf(other, { priceMinor: 1, currency: 'USD', acceptedAt: Date.now() });
    const options = orderStartOptions({ order }, taskQueue, { kind: 'first' });
    await client.workflow.start(ORDER_WORKFLOW, options);
  }
}

/** Claims each `abandoned` id as the gateway did that died. */
export async function claimIds(redis: Redis, wishes: readonly Wish[]): Promise<void> {
  for (const one of wishes.filter((candidate) => hasTrait(candidate, 'abandoned'))) {
    const purchase = purchaseOf(one);
    const { itemId, requestId } = purchase;
    const value = claimValue({ itemId, fingerprint: fingerprint(purchase) });
    await redis.set(claimKey(requestId), value, 'PX', CLAIM_MS_MAX);
  }
}

/** Appends the record of each `abandoned` order whose buyer was turned away: nothing may come of it. */
export async function appendAbandoned(
  append: (order: Order) => Promise<void>,
  purchases: readonly Purchased[],
): Promise<void> {
  for (const { wish, answer } of purchases) {
    if (!hasTrait(wish, 'abandoned') || answer !== 'rejected') continue;
    await append(orderOf(wish, { priceMinor: 1_000, currency: 'USD', acceptedAt: Date.now() }));
  }
}

/** The order that admission makes of a wish. */
function orderOf(
  one: Wish,
  terms: Pick<LedgerEntry, 'priceMinor' | 'currency' | 'acceptedAt'>,
): Order {
  const purchase = purchaseOf(one);
  const { priceMinor, currency, acceptedAt } = terms;
  return {
    ...purchase,
    ...{ priceMinor, currency, acceptedAt },
    fingerprint: fingerprint(purchase),
  };
}

function purchaseOf(one: Wish): Purchase {
  return {
    requestId: one.request_id as RequestId,
    userId: one.user_id as UserId,
    itemId: one.item_id as ItemId,
    amount: one.amount,
  };
}
