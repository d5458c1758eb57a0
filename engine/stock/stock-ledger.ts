import type {
  CancelResult,
  ConfirmResult,
  LedgerEntry,
  ReleaseResult,
  ReserveResult,
  Sale,
  StockCounts,
} from '../orders/ledger';
import type {
  FailureReason,
  ItemId,
  Order,
  ReleaseReason,
  RequestId,
  UserId,
} from '../orders/order';

/** One generation of one order: what a payment belongs to. */
export interface GenerationOf {
  readonly itemId: ItemId;
  readonly requestId: RequestId;
  readonly generation: number;
}

/**
 * The ledger as the workflow and the readers use it. All methods throw when Redis gives no
 * definite answer; every one may be sent again. `fence` is the workflow time, in ms since the epoch, at which the
 * step was asked for: the same over its retries, larger for everything asked later.
 */
export interface StockLedger {
  reserve(order: Order, fence: number): Promise<ReserveResult>;
  confirm(
    step: GenerationOf & { readonly fence: number; readonly paymentId: string },
  ): Promise<ConfirmResult>;
  /** `declined`: a generation of which the caller knows that it was declined, so that nothing is owed for it. */
  release(step: {
    readonly order: Order;
    readonly fence: number;
    readonly reason: ReleaseReason;
    readonly declined?: number;
  }): Promise<ReleaseResult>;
  /**
   * Whether a generation's money may be refunded: false while it is the reserved or the sold one. A generation that
   * was given up never comes back, so a yes stays true.
   */
  isRefundable(step: GenerationOf): Promise<boolean>;
  /** Strikes a generation from what is owed, after its refund. */
  resolveCharge(step: GenerationOf): Promise<void>;
  /**
   * Ends a held or queued order that will never have a workflow. An entry with another fingerprint, or with a
   * workflow already, is left alone.
   */
  abandon(step: {
    readonly itemId: ItemId;
    readonly requestId: RequestId;
    readonly fingerprint: string;
    readonly reason: FailureReason;
  }): Promise<void>;

  /**
   * Its buyer cancels an order: it ends at once while it is only queued, and is marked while it is reserved, so that no
   * later step reserves it again. The workflow of a reserved order is the caller's to tell.
   */
  cancel(step: {
    readonly itemId: ItemId;
    readonly requestId: RequestId;
    readonly userId: UserId;
  }): Promise<CancelResult>;

  /** The entry of an order, found by its claim; undefined when there is none. */
  findOrder(requestId: RequestId): Promise<{ itemId: ItemId; entry: LedgerEntry } | undefined>;
  /** Undefined for an unknown item. */
  item(itemId: ItemId): Promise<{ counts: StockCounts; sale: Sale } | undefined>;
}
