import type { Price, ReleaseReason } from './order';

/** States of an order in the ledger; an order that holds nothing and never did has no entry at all. */
export type LedgerState = 'held' | 'queued' | 'reserved' | 'sold' | 'released';

/** What the ledger remembers of one order. Times are milliseconds since the epoch on the Redis server's clock. */
export interface LedgerEntry extends Price {
  readonly state: LedgerState;
  /** Units of this order, also while they are not held. */
  readonly units: number;
  readonly userId: string;
  readonly fingerprint: string;
  /** 0 until the first reserve, 1 for the first try to sell, +1 each time it is reserved again. */
  readonly generation: number;
  /** The largest fence that took effect; 0 before the workflow's first step. */
  readonly fence: number;
  /** Generations whose money is not settled yet. */
  readonly unresolvedCharges: readonly number[];
  readonly reason?: ReleaseReason;
  /** Its buyer has cancelled it: it is never reserved again, and unless it is sold already it ends as cancelled. */
  readonly cancelledByBuyer?: true;
  readonly paymentId?: string;
  /** When the hold's lease ends; only while held. */
  readonly leaseUntil?: number;
  readonly acceptedAt: number;
  /** When it was sold or released for good; absent while it is under way. */
  readonly finishedAt?: number;
  readonly timeline: readonly TimelineStep[];
}

export interface TimelineStep {
  readonly at: number;
  readonly state: LedgerState;
}

/** Stock of one item, in units. free + held + queued + reserved + sold = supply, always. */
export interface StockCounts {
  readonly free: number;
  readonly held: number;
  readonly queued: number;
  readonly reserved: number;
  readonly sold: number;
  readonly supply: number;
}

/** How an item is sold. Everything is optional: the default is open, without a limit, at the default price. */
export interface Sale extends Partial<Price> {
  readonly unitsPerUser?: number;
  /** Milliseconds since the epoch, on the Redis server's clock. */
  readonly opensAt?: number;
  readonly closesAt?: number;
}

/** What `hold` answers: one atomic verdict on one request. */
export type HoldResult =
  | ({ readonly kind: 'held'; readonly acceptedAt: number } & Price)
  /** A live lease of another attempt; it ends in `retryAfterMs` at the latest. */
  | { readonly kind: 'in-progress'; readonly retryAfterMs: number }
  | { readonly kind: 'exists'; readonly entry: LedgerEntry }
  | { readonly kind: 'mismatch' }
  /** `final`: every unit is sold. Otherwise units are still in checkout and may return. */
  | { readonly kind: 'sold-out'; readonly final: boolean }
  | { readonly kind: 'limit'; readonly unitsPerUser: number; readonly owned: number }
  | { readonly kind: 'closed'; readonly when: 'not-open'; readonly opensAt: number }
  | { readonly kind: 'closed'; readonly when: 'over'; readonly closesAt: number }
  | { readonly kind: 'unknown-item' }
  /** The item's ledger was never opened, or Redis has lost it; `known`: there is a stock key all the same. */
  | { readonly kind: 'unopened'; readonly known: boolean };

/** What `reject` answers: the rejection is written down, or there is an order or an attempt of this request by now. */
export type RejectResult =
  { readonly kind: 'rejected' } | Extract<HoldResult, { readonly kind: 'exists' | 'in-progress' }>;

/**
 * What `reserve` answers. `owed` lists what *earlier* generations still owe, in every case; `again`: the generation was
 * open already, so somebody may have charged it.
 */
export type ReserveResult = { readonly owed: readonly number[] } & (
  | { readonly kind: 'reserved'; readonly generation: number; readonly again?: true }
  | { readonly kind: 'sold'; readonly generation: number; readonly paymentId?: string }
  | { readonly kind: 'sold-out' }
  /** Too late: a later step, perhaps of a later run, has taken effect. */
  | { readonly kind: 'over' }
  /** Its buyer has cancelled it; nothing is reserved any more. */
  | { readonly kind: 'cancelled' }
  /** The id belongs to another request: this order never held anything. */
  | { readonly kind: 'mismatch' }
);

export type ConfirmResult = { readonly kind: 'sold' } | { readonly kind: 'lost' };

/** What `release` answers. `owed` lists every generation whose money is not settled. */
export type ReleaseResult = { readonly owed: readonly number[] } & (
  | {
      readonly kind: 'released';
      readonly generation: number;
      readonly cancelledByBuyer?: true;
    }
  | { readonly kind: 'sold'; readonly generation: number; readonly paymentId?: string }
);

/** What `cancel` answers its buyer: one atomic verdict, with the entry as it is afterwards. */
export type CancelResult =
  /** No entry, or only held: nobody has been promised an order. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'not-the-buyer' }
  | {
      /** `under-way`: reserved and marked; whoever sells it has to be told. `sold` and `failed` stay as they are. */
      readonly kind: 'cancelled' | 'under-way' | 'sold' | 'failed';
      readonly entry: LedgerEntry;
    };
