import { assertNever } from '../../engine/orders/invariant';
import type { HoldResult } from '../../engine/orders/ledger';
import type { Purchase, RequestId } from '../../engine/orders/order';
import type { Verdict } from '../../engine/stock/admission';
import { problem } from '../http/problems';
import type { HttpResponse } from '../http/response';
import { viewOrder, type OrderBody } from '../routes/order-view';

/** The result of a hold once the item's ledger is open, or the reason why it is not. */
export type Hold =
  | Exclude<HoldResult, { readonly kind: 'unopened' }>
  | { readonly kind: 'unknown-item' }
  | { readonly kind: 'no-ledger'; readonly why: 'lost' | 'unreachable' };

/** Why a purchase is rejected. */
export type Rejection =
  { readonly kind: 'request-id-reused' } | Exclude<Hold, { readonly kind: 'held' | 'mismatch' }>;

export type Decision =
  | { readonly kind: 'accept'; readonly hold: Extract<Hold, { readonly kind: 'held' }> }
  /** The request has its order, which has left the ledger. */
  | { readonly kind: 'finished'; readonly undoHold: boolean }
  | {
      readonly kind: 'reject';
      readonly rejection: Rejection;
      /** What this attempt made and must not leave behind. */
      readonly undoHold: boolean;
      readonly dropClaim: boolean;
      /** The log may hold a record of an earlier attempt, which must have no effect once this rejection is sent. */
      readonly mayBeInTheLog: boolean;
    };

/** The admission table: what claim and hold mean together. */
export function decide(claim: Verdict['claim'], hold: Hold): Decision {
  if (claim === 'other') return reject(REUSED, { undoHold: hold.kind === 'held' });
  // An entry that is still there tells more than the archive.
  if (claim === 'finished' && hold.kind !== 'exists' && hold.kind !== 'mismatch') {
    return { kind: 'finished', undoHold: hold.kind === 'held' };
  }
  switch (hold.kind) {
    case 'held':
      return { kind: 'accept', hold };
    // The order's claim has expired, the order has not. Our new claim would lock its owner out.
    case 'mismatch':
      return reject(REUSED, { dropClaim: claim === 'new' });
    // The claim belongs to a living order of this very request; the order is found by it.
    case 'in-progress':
    case 'exists':
      return reject(hold, {});
    case 'payment-named':
    case 'sold-out':
    case 'limit':
    case 'closed':
    case 'no-ledger':
      return reject(hold, { dropClaim: claim === 'new', mayBeInTheLog: claim === 'same' });
    // It was never sold, so the log has no record of it.
    case 'unknown-item':
      return reject(hold, { dropClaim: claim === 'new' });
    default:
      return assertNever(hold);
  }
}

const REUSED: Rejection = { kind: 'request-id-reused' };

function reject(
  rejection: Rejection,
  { undoHold = false, dropClaim = false, mayBeInTheLog = false },
): Decision {
  return { kind: 'reject', rejection, undoHold, dropClaim, mayBeInTheLog };
}

/** The response to a request that has an order already. */
export function duplicate(requestId: RequestId, order: OrderBody): HttpResponse {
  const headers = { location: order.links.self };
  return problem('duplicate-request', { requestId, members: { order }, headers });
}

/** Where a buyer's orders of an item are listed; undefined where they are not. */
export type LinkToOrders = (purchase: Pick<Purchase, 'itemId' | 'userId'>) => string | undefined;

/** Most orders are over sooner, and those that wait for the payment provider later. */
const CHECKOUT_MS = 5_000;

/** The problem that tells the buyer why. `nowMs` is since the epoch. */
export function rejectionProblem(
  rejection: Rejection,
  { requestId, itemId, userId }: Purchase,
  nowMs: number,
  linkToOrders?: LinkToOrders,
): HttpResponse {
  switch (rejection.kind) {
    case 'request-id-reused':
      return problem('request-id-reused', { requestId });
    case 'in-progress':
      return problem('request-in-progress', { requestId, retryAfterMs: rejection.retryAfterMs });
    case 'exists': {
      const order = viewOrder({ requestId, itemId, entry: rejection.entry });
      // Only held, so not accepted yet: its lease ended between two looks at the entry.
      if (!order) return problem('request-in-progress', { requestId, retryAfterMs: 1_000 });
      return duplicate(requestId, order);
    }
    case 'sold-out': {
      const detail = rejection.final
        ? 'Every unit is sold.'
        : 'The last units are in checkout; they may return.';
      return problem('sold-out', { requestId, detail, members: { final: rejection.final } });
    }
    case 'limit': {
      const orders = linkToOrders?.({ itemId, userId });
      const members = {
        units_per_user: rejection.unitsPerUser,
        owned: rejection.owned,
        final: rejection.final,
        links: orders === undefined ? undefined : { orders },
      };
      if (rejection.final) return problem('purchase-limit', { requestId, members });
      return problem('purchase-limit', {
        requestId,
        detail: 'Units of the item are in checkout. If some of the user’s come back, it may work.',
        members,
        retryAfterMs: CHECKOUT_MS,
      });
    }
    case 'closed': {
      if (rejection.when === 'over') {
        const members = { closed_at: new Date(rejection.closesAt).toISOString() };
        return problem('sale-over', { requestId, members });
      }
      const members = { opens_at: new Date(rejection.opensAt).toISOString() };
      const retryAfterMs = rejection.opensAt - nowMs;
      return problem('sale-not-open', { requestId, members, retryAfterMs });
    }
    case 'payment-named': {
      const message = 'must be absent: the buyers of this sale pay themselves';
      return problem('invalid-request', {
        requestId,
        members: { errors: [{ path: '/payment', message }] },
      });
    }
    case 'unknown-item':
      return problem('unknown-item', { requestId, members: { item_id: itemId } });
    case 'no-ledger':
      if (rejection.why === 'unreachable') return problem('not-accepted', { requestId });
      return problem('not-accepted', {
        requestId,
        detail: 'The stock of this item is being restored; nothing is sold until then.',
        members: { ledger: 'lost' },
      });
    default:
      return assertNever(rejection);
  }
}
