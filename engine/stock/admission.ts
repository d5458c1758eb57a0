import type { HoldResult, RejectResult } from '../orders/ledger';
import type { ItemId, Purchase, RequestId } from '../orders/order';

/** One attempt to admit a purchase. `token` names the attempt: only its owner may undo a hold. */
export interface Attempt extends Purchase {
  readonly fingerprint: string;
  readonly token: string;
}

/** What Redis says of an attempt: whose the id is, and whether there are units. */
export interface Verdict {
  /** `new`: this attempt made the claim; `same`: it was there with our fingerprint; `other`: with another one. */
  readonly claim: 'new' | 'same' | 'other';
  readonly hold: HoldResult;
}

/** The gateway's side of the ledger. Every method is one round trip, whatever the number of requests. */
export interface Admission {
  /**
   * Claims each request_id and holds its units, in one pipeline. An element is an Error when Redis gave no
   * answer for it: nothing is known then, and a hold that was made ends with its lease.
   */
  claimAndHold(attempts: readonly Attempt[]): Promise<readonly (Verdict | Error)[]>;
  /**
   * Of which of these requests there is a claim or an entry. What is not known is no order, accepted or in hand, and
   * its id is free. Where the item's ledger is not open nothing can be told, and all are called known. An element is an
   * Error when Redis gave no answer for it.
   */
  areKnown(requests: readonly RequestOf[]): Promise<readonly (boolean | Error)[]>;
  /** Gives back what these attempts hold, if they still hold it, and drops the claims that they made. */
  undo(attempts: readonly Undo[]): Promise<void>;
  /**
   * After the Kafka ack: held → queued, and the claims are kept for the order's retention. An element is
   * false when the entry is gone (its lease ended and its units were reclaimed): such an order is not accepted.
   */
  queue(orders: readonly Queued[]): Promise<readonly (boolean | Error)[]>;
  /**
   * Before a request is rejected of which an earlier attempt may be in the log: whatever the log holds of it, it takes
   * no unit any more, unless its buyer asks again and gets a hold. Nothing is written where there is an order by now.
   */
  reject(requests: readonly RequestOf[]): Promise<readonly (RejectResult | Error)[]>;
}

/** A request by its names alone. */
export type RequestOf = Pick<Purchase, 'requestId' | 'itemId'>;

export interface Undo {
  readonly requestId: RequestId;
  readonly itemId: ItemId;
  readonly token: string;
  readonly undoHold: boolean;
  readonly dropClaim: boolean;
}

export interface Queued {
  readonly requestId: RequestId;
  readonly itemId: ItemId;
  readonly fingerprint: string;
}
