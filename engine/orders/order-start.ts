import { defineSearchAttributeKey } from '@temporalio/common';
import type { ItemId } from './order';
import type { OrderInput, OrderMemo, OrderReplay } from './contract';

/** What the server accepts as a key of fairness, in bytes; ids are ASCII. */
const FAIRNESS_KEY_LENGTH_MAX = 64;

const ITEM_ID = defineSearchAttributeKey('ItemId', 'KEYWORD');
const USER_ID = defineSearchAttributeKey('UserId', 'KEYWORD');

/** The first start of an order, or another one after it has failed. */
export type StartKind =
  { readonly kind: 'first' } | { readonly kind: 'replay'; readonly replay: OrderReplay };

/** The options of every start of an order workflow, so that a replayed order is found and treated as any other. */
export function orderStartOptions(input: OrderInput, taskQueue: string, start: StartKind) {
  const { order } = input;
  const replay = start.kind === 'replay' ? start.replay : undefined;
  const memo: OrderMemo = { fingerprint: order.fingerprint, ...(replay && { replay }) };
  return {
    workflowId: order.requestId,
    taskQueue,
    // The first start refuses also after the end of a run: a record that comes again must never sell a second time.
    // A replay is let in only after a failure, and the server lets in one of several.
    workflowIdReusePolicy: replay
      ? ('ALLOW_DUPLICATE_FAILED_ONLY' as const)
      : ('REJECT_DUPLICATE' as const),
    args: [{ ...input, firstCharge: 'local' }] as [OrderInput],
    memo: { ...memo },
    typedSearchAttributes: [
      { key: ITEM_ID, value: order.itemId },
      { key: USER_ID, value: order.userId },
    ],
    staticSummary: `${order.itemId} ×${String(order.amount)} for ${order.userId}`,
    ...(replay && { staticDetails: `Replayed by ${replay.by}: ${replay.why}` }),
    priority: { fairnessKey: fairnessKey(order.itemId) },
  };
}

/** The fingerprint in the memo of a workflow; undefined where somebody has started it by hand. */
export function fingerprintInMemo(memo: object | undefined): string | undefined {
  const found = memo && 'fingerprint' in memo ? memo.fingerprint : undefined;
  return typeof found === 'string' ? found : undefined;
}

/** One hot item must not starve the others, so the item is the key. Long ids that begin alike share a turn. */
function fairnessKey(itemId: ItemId): string {
  return itemId.slice(0, FAIRNESS_KEY_LENGTH_MAX);
}
