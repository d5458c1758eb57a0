import { ITEM_ID, USER_ID, type OrderInput, type OrderMemo, type OrderReplay } from './contract';

/** The server's limit of a fairness key, in bytes; ids are ASCII. */
const FAIRNESS_KEY_LENGTH_MAX = 64;

/** The first start of an order, or a new one after it has failed. */
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
    // The first start is refused even after the run has ended: a repeated record must never sell a second time.
    // A replay starts only after a failure; of several at the same time the server starts one.
    workflowIdReusePolicy: replay
      ? ('ALLOW_DUPLICATE_FAILED_ONLY' as const)
      : ('REJECT_DUPLICATE' as const),
    args: [{ ...input, firstCharge: 'local', parking: true }] as [OrderInput],
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

/** The fingerprint in a workflow's memo; undefined for a workflow that was started by hand. */
export function fingerprintInMemo(memo: object | undefined): string | undefined {
  const found = memo && 'fingerprint' in memo ? memo.fingerprint : undefined;
  return typeof found === 'string' ? found : undefined;
}
