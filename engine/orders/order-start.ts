import type { OrderId } from './order';
import { ITEM_ID, USER_ID, type OrderInput, type OrderMemo, type OrderReplay } from './contract';

/** The server's limit of a fairness key, in bytes; ids are ASCII. */
const FAIRNESS_KEY_LENGTH_MAX = 64;

/**
 * The first start of an order; that of an order whose request_id had an earlier order, of which nothing is left but its closed
 * run; or a new start after a failure.
 */
export type StartKind =
  | { readonly kind: 'first' | 'first-under-a-used-id' }
  | { readonly kind: 'replay'; readonly replay: OrderReplay };

/** The options of every start of an order workflow, so that a replayed order is found and treated as any other. */
export function orderStartOptions(input: OrderInput, taskQueue: string, start: StartKind) {
  const { order } = input;
  const replay = start.kind === 'replay' ? start.replay : undefined;
  const { fingerprint, orderId } = order;
  const memo: OrderMemo = {
    fingerprint,
    ...(orderId !== undefined && { orderId }),
    ...(replay && { replay }),
  };
  return {
    workflowId: order.requestId,
    taskQueue,
    workflowIdReusePolicy: REUSE_POLICIES[start.kind],
    args: [{ ...input, firstCharge: 'at-once', parking: true, events: true }] as [OrderInput],
    memo: { ...memo },
    typedSearchAttributes: [
      { key: ITEM_ID, value: order.itemId },
      { key: USER_ID, value: order.userId },
    ],
    staticSummary: `${order.itemId} ×${String(order.amount)} for ${order.userId}`,
    ...(replay && { staticDetails: `Replayed by ${replay.by}: ${replay.why}` }),
    // One hot item must not starve the others. Long ids that begin alike share a turn.
    priority: { fairnessKey: order.itemId.slice(0, FAIRNESS_KEY_LENGTH_MAX) },
  };
}

/**
 * The first start is refused even after the run has ended: a repeated record must never sell a second time. A replay starts
 * only after a failure. Of several starts at the same time the server allows one.
 */
const REUSE_POLICIES = {
  first: 'REJECT_DUPLICATE',
  'first-under-a-used-id': 'ALLOW_DUPLICATE',
  replay: 'ALLOW_DUPLICATE_FAILED_ONLY',
} as const satisfies Record<StartKind['kind'], string>;

/** The fingerprint in a workflow's memo; undefined for a workflow that was started by hand. */
export function fingerprintInMemo(memo: object | undefined): string | undefined {
  const found = memo && 'fingerprint' in memo ? memo.fingerprint : undefined;
  return typeof found === 'string' ? found : undefined;
}

/** The order id in a workflow's memo; undefined for a workflow that has none. */
export function orderIdInMemo(memo: object | undefined): OrderId | undefined {
  const found = memo && 'orderId' in memo ? memo.orderId : undefined;
  return typeof found === 'string' ? (found as OrderId) : undefined;
}
