import type {
  ConfirmAnswer,
  LedgerEntry,
  ReleaseAnswer,
  ReserveAnswer,
  Sale,
  StockCounts,
} from '../domain/ledger';
import type { ItemId, Order, ReleaseReason, RequestId } from '../domain/order';

/**
 * The ledger as the workflow, the readers and the operators use it. All methods throw when Redis gives no
 * definite answer; every one may be sent again. `fence` is the workflow time at which the step was asked for.
 */
export interface StockLedger {
  reserve(order: Order, fence: number): Promise<ReserveAnswer>;
  confirm(step: {
    itemId: ItemId;
    requestId: RequestId;
    generation: number;
    fence: number;
    paymentId: string;
  }): Promise<ConfirmAnswer>;
  /** `settled`: generations of which the caller knows that no money was taken (a definite decline). */
  release(step: {
    order: Order;
    fence: number;
    reason: ReleaseReason;
    settled: readonly number[];
  }): Promise<ReleaseAnswer>;
  /** Whether a generation's money may be refunded: false while it is the reserved or sold one. */
  maySettle(step: { itemId: ItemId; requestId: RequestId; generation: number }): Promise<boolean>;
  /** Strikes a generation from what is owed, after its refund. */
  settle(step: { itemId: ItemId; requestId: RequestId; generation: number }): Promise<void>;
  /** Gives back the hold of an order that will never have a workflow; an entry with another fingerprint or a later state is left alone. */
  giveBack(step: { itemId: ItemId; requestId: RequestId; fingerprint: string }): Promise<void>;

  /** The entry of an order, found by its claim; undefined when there is none. */
  findOrder(requestId: RequestId): Promise<{ itemId: ItemId; entry: LedgerEntry } | undefined>;
  /** Undefined for an unknown item. */
  item(itemId: ItemId): Promise<{ counts: StockCounts; sale: Sale } | undefined>;
  setSale(itemId: ItemId, sale: Sale): Promise<void>;
}
