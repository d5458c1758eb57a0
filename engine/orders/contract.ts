import { defineSearchAttributeKey } from '@temporalio/common';
import type { ItemId, Order } from './order';

/** The workflow's type name: what `temporal workflow start --type` takes. */
export const ORDER_WORKFLOW = 'orderWorkflow';

/**
 * Search attributes, all keywords. ItemId and UserId are set at the start, OrderOutcome only where the order is not sold
 * and the status of its run does not tell it all: the reason of a failure, or `cancelled`.
 */
export const SEARCH_ATTRIBUTES = ['ItemId', 'UserId', 'OrderOutcome'] as const;

/** Why an order was not sold; by it a run that completed as cancelled is told from a sale. */
export const ORDER_OUTCOME = defineSearchAttributeKey('OrderOutcome', 'KEYWORD');

/** The workflow's only argument. Fields may be added, never removed: old runs are alive. */
export interface OrderInput {
  readonly order: Order;
  /** Where ingest read the order; absent when it was started by hand. */
  readonly source?: { readonly topic: string; readonly partition: number; readonly offset: string };
  /**
   * How the first payment attempt is made; absent, in orders older than the choice: as a regular activity. It is part of
   * the input so that a run that was begun one way goes on that way, whatever the workers are told since.
   */
  readonly firstCharge?: 'local';
  /** The record's text, only where it differs from what the engine would write for this order. */
  readonly original?: string;
}

/**
 * How an order's run ends well. A failed order fails the workflow with type OrderFailed and its reason; where Temporal was
 * asked to cancel the run before the money was taken, the run ends as cancelled.
 */
export type OrderResult = OrderConfirmed | OrderCancelled;

/** What a confirmed order returns. */
export interface OrderConfirmed {
  readonly outcome: 'confirmed';
  readonly generation: number;
  readonly paymentId?: string;
}

/**
 * What an order returns that its buyer has cancelled in the ledger, where nobody has asked Temporal to cancel the run.
 * Not a failure: a failed run may be started again.
 */
export interface OrderCancelled {
  readonly outcome: 'cancelled';
}

/** The failure type of an order that ended without a sale; its message is the reason. */
export const ORDER_FAILED = 'OrderFailed';

/** Memo of every order workflow, so that a second record of the same id can be told from a repetition. */
export interface OrderMemo {
  readonly fingerprint: string;
  /** Only in a run that an operator has started after a failure. */
  readonly replay?: OrderReplay;
}

/** Who tried a failed order again, and why. */
export interface OrderReplay {
  readonly by: string;
  readonly why: string;
  /** The dead letter that it was started from; absent where an audit has found it without a run. */
  readonly letterId?: string;
}

/** The type of the workflow that says, outside Redis, that an item has a ledger. */
export const LEDGER_WORKFLOW = 'itemLedgerWorkflow';

/** A slash cannot stand in a request_id: no buyer can take the id of an item's ledger for an order. */
export function ledgerWorkflowId(itemId: ItemId): string {
  return `ledger/${itemId}`;
}

/** The item of a workflow of that type. */
export function itemOfLedgerWorkflow(workflowId: string): ItemId {
  return workflowId.slice('ledger/'.length) as ItemId;
}

/** Memo of an item's ledger workflow. */
export interface LedgerMemo {
  readonly itemId: string;
  /** The ledger in Redis has the same one, or it is not the ledger that was registered. */
  readonly token: string;
}

/** The type of the workflow that a schedule starts every minute. */
export const AUDIT_WORKFLOW = 'stockAuditWorkflow';
