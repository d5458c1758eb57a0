import type { ItemId, OrderId, RequestId } from './order';
import type { SaleReturn } from './sale-return';

/** The type name of the workflow of one refund that an operator has asked for. */
export const REFUND_WORKFLOW = 'refundWorkflow';

/** The type name of the workflow that reads at the provider what has become of a sale's money. */
export const RETURNS_WORKFLOW = 'returnsWorkflow';
/** Asks it to read once more. */
export const READ_SIGNAL = 'read';

/** A provider has 255 characters for a name of its own that begins with the payment key, of 200 at most. */
export const OPERATION_LENGTH_MAX = 48;

/** The failure types of a refund that is not made: its message is the provider's code, or a word of the engine. */
export const REFUND_REFUSED = 'RefundRefused';
/** The provider has made it, and it has failed since. */
export const REFUND_FAILED = 'RefundFailed';
/** The money is given back, the units are not put back. */
export const RESTOCK_REFUSED = 'RestockRefused';

/** A sold order. */
export interface SaleInput {
  readonly itemId: ItemId;
  readonly requestId: RequestId;
  readonly orderId: OrderId;
}

/** The only argument of a refund. Fields may be added, never removed. */
export interface RefundInput extends SaleInput {
  readonly operationId: string;
  /** In minor units; absent: all that is left. */
  readonly amountMinor?: number;
  /** Units that go on sale again once the money is given back. */
  readonly restock?: number;
  readonly by: string;
  readonly why: string;
}

/** What a refund has come to; `pending`: the provider does not know after a month. */
export interface RefundResult {
  readonly refund: SaleReturn;
  /** Units that went on sale again. */
  readonly restocked: number;
}

/** What is asked for under an operation id: with anything else, it names another refund. */
export interface RefundMemo {
  readonly orderId: string;
  readonly amountMinor: number | null;
  readonly restock: number;
}

export function refundMemo({ orderId, amountMinor, restock = 0 }: RefundInput): RefundMemo {
  return { orderId, amountMinor: amountMinor ?? null, restock };
}

/** No id has a slash, so that a refund is no order. */
export function refundWorkflowId({
  requestId,
  operationId,
}: Pick<RefundInput, 'requestId' | 'operationId'>): string {
  return `refund/${requestId}/${operationId}`;
}

export function returnsWorkflowId({ requestId, orderId }: SaleInput): string {
  return `returns/${requestId}/${orderId}`;
}

/** The operation that puts units back, in the ledger and in the archive: a request_id may be used again. */
export function restockOperation({
  orderId,
  operationId,
}: Pick<RefundInput, 'orderId' | 'operationId'>): string {
  return `refund/${orderId}/${operationId}`;
}
