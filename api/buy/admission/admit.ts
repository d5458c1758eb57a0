import { assertNever } from '../../../engine/orders/invariant';
import type { HoldResult } from '../../../engine/orders/ledger';
import type { OpenedVerdict } from './admit-opened';

/** Why a purchase is turned away, with what its buyer should know. */
export type Rejection =
  | { readonly kind: 'request-id-reused' }
  | Exclude<OpenedVerdict['hold'], { readonly kind: 'held' | 'mismatch' }>;

export type Decision =
  | { readonly kind: 'accept'; readonly hold: Extract<HoldResult, { readonly kind: 'held' }> }
  | {
      readonly kind: 'reject';
      readonly rejection: Rejection;
      /** What this attempt has made and must not leave behind. */
      readonly undoHold: boolean;
      readonly dropClaim: boolean;
      /** A record of an earlier attempt may be in the log: nothing may come of it once this answer is given. */
      readonly mayBeInTheLog: boolean;
    };

/** The admission table: what claim and hold mean together. */
export function decide({ claim, hold }: OpenedVerdict): Decision {
  if (claim === 'other') {
    return reject(REUSED, { undoHold: hold.kind === 'held', dropClaim: false });
  }
  switch (hold.kind) {
    case 'held':
      return { kind: 'accept', hold };
    // The id's own claim has expired, its order has not: our claim would lock the order's owner out.
    case 'mismatch':
      return reject(REUSED, { undoHold: false, dropClaim: claim === 'new' });
    // The claim belongs to a living order of this very request; the order is found by it.
    case 'in-progress':
    case 'exists':
      return reject(hold, { undoHold: false, dropClaim: false });
    case 'sold-out':
    case 'limit':
    case 'closed':
    case 'no-ledger':
      return reject(hold, {
        ...{ undoHold: false, dropClaim: claim === 'new' },
        mayBeInTheLog: claim === 'same',
      });
    // Nobody has ever sold it, so there is no record either.
    case 'unknown-item':
      return reject(hold, { undoHold: false, dropClaim: claim === 'new' });
    default:
      return assertNever(hold);
  }
}

const REUSED: Rejection = { kind: 'request-id-reused' };

function reject(
  rejection: Rejection,
  rest: {
    readonly undoHold: boolean;
    readonly dropClaim: boolean;
    readonly mayBeInTheLog?: boolean;
  },
): Decision {
  return { kind: 'reject', rejection, mayBeInTheLog: false, ...rest };
}
