import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BuyBody } from '../../client/gateway';
import { ORDER_WORKFLOW } from '../../engine/orders/contract';
import { encodeOrder, fingerprint } from '../../engine/orders/order-record';
import { isLedgerUnreadable, type LedgerEntry } from '../../engine/orders/ledger';
import type {
  ItemId,
  Order,
  OrderId,
  Purchase,
  ReleaseReason,
  RequestId,
  UserId,
} from '../../engine/orders/order';
import { orderStartOptions } from '../../engine/orders/order-start';
import { claimKey, claimValue } from '../../engine/stock/keys';
import type { BuyerResult } from './buyers';
import type { Instance } from './instance';
import { hasTrait } from './orders-plan';
import { CLAIM_MS_MAX } from './snapshot';

/** Does to each `foreign`, `reused` and `abandoned` order what has to be done before its buyer comes. */
export async function prepareOrders(
  { temporal, taskQueue, redis }: Instance,
  plan: readonly BuyBody[],
): Promise<void> {
  for (const body of plan) {
    if (hasTrait(body, 'foreign')) {
      // A workflow with the order's id, for an item that is not on sale.
      const other = { ...body, item_id: `${body.item_id}-elsewhere` };
      const order = orderOf(other, { priceMinor: 1, currency: 'USD', acceptedAt: Date.now() });
      const options = orderStartOptions({ order }, taskQueue, { kind: 'first' });
      await temporal.workflow.start(ORDER_WORKFLOW, options);
    }
    if (hasTrait(body, 'reused')) {
      // A run of the same purchase under another order id. No worker has taken it, and the item does not list it.
      const order = orderOf(body, { priceMinor: 1, currency: 'USD', acceptedAt: Date.now() });
      const { workflowId, args, memo } = orderStartOptions({ order }, taskQueue, { kind: 'first' });
      const run = { workflowId, args, memo, taskQueue: `${taskQueue}-of-nobody` };
      const handle = await temporal.workflow.start(ORDER_WORKFLOW, run);
      await handle.terminate('the earlier order of a reused id');
    }
    if (hasTrait(body, 'abandoned')) {
      // The claim of a gateway that has died.
      const purchase = purchaseOf(body);
      const { itemId, requestId } = purchase;
      const value = claimValue({ itemId, fingerprint: fingerprint(purchase) });
      await redis.set(claimKey(requestId), value, 'PX', CLAIM_MS_MAX);
    }
  }
}

/**
 * Publishes the record of each `abandoned` order whose buyer was rejected: it must not be sold. Their gateways have accepted
 * them at `acceptedAt`, before the buyers came; every second one was of a version before order ids.
 */
export async function publishAbandoned(
  { append }: Instance,
  purchases: readonly BuyerResult[],
  acceptedAt: number,
): Promise<void> {
  const abandoned = purchases.filter(
    ({ body, outcome }) => hasTrait(body, 'abandoned') && outcome === 'rejected',
  );
  for (const [index, { body }] of abandoned.entries()) {
    const orderId = index % 2 === 0 ? (randomUUID() as OrderId) : undefined;
    const order = {
      ...orderOf(body, { priceMinor: 1_000, currency: 'USD', acceptedAt }),
      orderId,
    };
    await append('ordersTopic', [{ key: order.requestId, value: encodeOrder(order) }]);
  }
}

/** Releases an order, if it is reserved, with the present time as its fence, as a later run of its workflow may do. */
export async function releaseReserved(
  ledger: Instance['ledger'],
  body: BuyBody,
  entry: LedgerEntry | undefined,
  reason: ReleaseReason,
): Promise<void> {
  if (entry?.state !== 'reserved') return;
  await ledger.release({ order: orderOf(body, entry), fence: Date.now(), reason });
}

/** A few times within a slow charge. */
const POLL_MS = 300;

/**
 * Releases each `lost` order as soon as it is reserved. An order that is sold before that stays sold. Ends with `signal`.
 */
export async function releaseLost(
  { ledger }: Instance,
  plan: readonly BuyBody[],
  signal: AbortSignal,
): Promise<void> {
  let open = plan.filter((body) => hasTrait(body, 'lost'));
  while (open.length > 0 && !signal.aborted) {
    const left: BuyBody[] = [];
    for (const body of open) {
      const found = await ledger.findOrder(body.request_id as RequestId).catch((error: unknown) => {
        // The first purchase of the item opens its ledger.
        if (isLedgerUnreadable(error)) return undefined;
        throw error;
      });
      const entry = found?.entry;
      if (!entry || entry.state === 'held' || entry.state === 'queued') left.push(body);
      await releaseReserved(ledger, body, entry, 'sale-lost');
    }
    open = left;
    await sleep(POLL_MS);
  }
}

/** The order that admission makes of a purchase. */
function orderOf(
  body: BuyBody,
  { priceMinor, currency, acceptedAt }: Pick<LedgerEntry, 'priceMinor' | 'currency' | 'acceptedAt'>,
): Order {
  const purchase = purchaseOf(body);
  return { ...purchase, priceMinor, currency, acceptedAt, fingerprint: fingerprint(purchase) };
}

function purchaseOf(body: BuyBody): Purchase {
  return {
    requestId: body.request_id as RequestId,
    userId: body.user_id as UserId,
    itemId: body.item_id as ItemId,
    amount: body.amount,
  };
}
