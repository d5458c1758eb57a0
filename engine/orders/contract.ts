import { defineSearchAttributeKey } from '@temporalio/common';
import type { ItemId, Order, OrderId } from './order';

/** The type name of the order workflow: what `temporal workflow start --type` takes. */
export const ORDER_WORKFLOW = 'orderWorkflow';

/** The search attributes of the namespace, all keywords. */
export const SEARCH_ATTRIBUTES = ['ItemId', 'UserId', 'OrderOutcome'] as const;

/** Set at the start of every order. */
export const ITEM_ID = defineSearchAttributeKey('ItemId', 'KEYWORD');
export const USER_ID = defineSearchAttributeKey('UserId', 'KEYWORD');

/**
 * Set where the order is not sold and the status of its run does not say why: the reason of a failure, or `cancelled` or
 * `payment-deadline`, which tell a run that completed from a sale. In an open run it is `parked`, `awaiting-payment` or absent.
 */
export const ORDER_OUTCOME = defineSearchAttributeKey('OrderOutcome', 'KEYWORD');

/** The outcome of an order that waits until its item's ledger can be read again. */
export const PARKED = 'parked';

/** The outcome of an order that waits for its buyer's payment. */
export const AWAITING_PAYMENT = 'awaiting-payment';

/**
 * Tells a run that something may have happened to a payment, by its key: no more than that, because a reset run gets the signals
 * of the run before it, and anybody's webhook may be late. The run asks the provider.
 */
export const PAYMENT_SIGNAL = 'payment';

/** The failure type of a step whose item's ledger only an operator can mend: another try a moment later is no use. */
export const LEDGER_UNREADABLE = 'LedgerUnreadable';

/** The workflow's only argument. Fields may be added, never removed: old runs are alive. */
export interface OrderInput {
  readonly order: Order;
  /** Where ingest read the order; absent when it was started by hand. */
  readonly source?: { readonly topic: string; readonly partition: number; readonly offset: string };
  /**
   * How the first payment attempt is made: in one step with the reservation and the sale, or in a local activity of its own;
   * absent in orders older than the choice: as a regular activity. It is part of the input so that a run goes on the way it
   * began, whatever the setting of the workers is by then.
   */
  readonly firstCharge?: 'local' | 'at-once';
  /** The order parks where its ledger gives no answer; absent in orders older than parking: they wait in their task. */
  readonly parking?: true;
  /** The run publishes what became of the order; absent in orders older than events. */
  readonly events?: true;
  /** The record's text, only where it differs from what the engine would write for this order. */
  readonly original?: string;
}

/**
 * The result of a run that completes. A failed order fails its workflow with type OrderFailed and the reason; where
 * Temporal was asked to cancel the run before the money was taken, the run ends as cancelled.
 */
export type OrderResult = OrderConfirmed | OrderCancelled;

export interface OrderConfirmed {
  readonly outcome: 'confirmed';
  readonly generation: number;
  readonly paymentId?: string;
}

/**
 * The buyer has cancelled the order in the ledger, and nobody has asked Temporal to cancel the run; or has not paid in time.
 * Not a failure: a failed run may be started again.
 */
export interface OrderCancelled {
  readonly outcome: 'cancelled';
  readonly reason?: 'payment-deadline';
}

/** The failure type of an order that ended without a sale; its message is the reason. */
export const ORDER_FAILED = 'OrderFailed';

/**
 * Memo of every order workflow. The fingerprint tells a second record of the same request from another request, the order id
 * a later acceptance of the same request.
 */
export interface OrderMemo {
  readonly fingerprint: string;
  /** The record's; absent in runs that are older than order ids. */
  readonly orderId?: OrderId;
  /** Only in a run that an operator has started after a failure. */
  readonly replay?: OrderReplay;
}

/** Who replayed a failed order, and why. */
export interface OrderReplay {
  readonly by: string;
  readonly why: string;
  /** The dead letter that it was started from; absent where an audit has found the order without a run. */
  readonly letterId?: string;
}

/** The type name of the workflow that gives back a payment for which nothing is sold. */
export const LATE_PAYMENT_WORKFLOW = 'latePaymentWorkflow';

/** A payment by its order and generation: the argument of the workflow that gives it back. */
export type LatePayment = Pick<Order, 'itemId' | 'requestId' | 'orderId'> & {
  readonly generation: number;
};

/** No request_id has a slash. */
export function latePaymentWorkflowId(paymentKey: string): string {
  return `refund/${paymentKey}`;
}

/** The type name of the workflow that follows the provider's events. */
export const PAYMENT_EVENTS_WORKFLOW = 'paymentEventsWorkflow';

/** How far the provider's events are followed: the argument of that workflow. */
export interface FollowedEvents {
  /** Everything before this time was acted on, in ms since the epoch. */
  readonly until: number;
  /** Since when the event at `until` is tried, which cannot be acted on; absent: there is none. */
  readonly triedSince?: number;
}

/** The type name of the workflow that records, outside Redis, that an item has a ledger. */
export const LEDGER_WORKFLOW = 'itemLedgerWorkflow';

/** Completes the workflow of an item's ledger. */
export const RETIRE_SIGNAL = 'retire';

/** A request_id has no slash, so no buyer can take the id of an item's ledger for an order. */
export function ledgerWorkflowId(itemId: ItemId): string {
  return `ledger/${itemId}`;
}

/** The item of a ledger workflow. */
export function itemOfLedgerWorkflow(workflowId: string): ItemId {
  return workflowId.slice('ledger/'.length) as ItemId;
}

/** Memo of an item's ledger workflow. */
export interface LedgerMemo {
  readonly itemId: string;
  /** The ledger in Redis has the same token, or it is not the ledger that was registered. */
  readonly token: string;
  /** The ledger is older than this workflow: Temporal had lost an earlier one. */
  readonly again?: true;
  /** The item was on sale before, and was retired. */
  readonly reopened?: true;
}

/** The type name of the workflow that a schedule starts every minute. */
export const AUDIT_WORKFLOW = 'stockAuditWorkflow';
