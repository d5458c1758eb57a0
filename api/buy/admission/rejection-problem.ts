import { assertNever } from '../../../engine/orders/invariant';
import type { Purchase } from '../../../engine/orders/order';
import type { HttpResponse } from '../../http/response';
import { problem } from '../../http/problems';
import type { OrderView } from '../../orders/order-view';
import type { Rejection } from './admit';

/** How a rejection reads to its buyer. `now` is the time in milliseconds since the epoch. */
export function rejectionProblem(
  rejection: Rejection,
  { requestId, itemId }: Purchase,
  { view, now }: { readonly view: OrderView; readonly now: number },
): HttpResponse {
  switch (rejection.kind) {
    case 'request-id-reused':
      return problem('request-id-reused', { requestId });
    case 'in-progress': {
      const retryAfterSeconds = secondsUp(rejection.retryAfterMs);
      return problem('request-in-progress', { requestId, retryAfterSeconds });
    }
    case 'exists': {
      const order = view.order({ requestId, itemId, entry: rejection.entry });
      // Held, so not accepted yet: a lease that ended between two looks at the entry.
      if (!order) return problem('request-in-progress', { requestId, retryAfterSeconds: 1 });
      const headers = { location: order.links.self };
      return problem('duplicate-request', { requestId, members: { order }, headers });
    }
    case 'sold-out': {
      const detail = rejection.final
        ? 'Every unit is sold.'
        : 'The last units are in checkout; they may return.';
      return problem('sold-out', { requestId, detail, members: { final: rejection.final } });
    }
    case 'limit': {
      const members = { units_per_user: rejection.unitsPerUser, owned: rejection.owned };
      return problem('purchase-limit', { requestId, members });
    }
    case 'closed': {
      if (rejection.when === 'over') {
        const members = { closed_at: new Date(rejection.closesAt).toISOString() };
        return problem('sale-over', { requestId, members });
      }
      const members = { opens_at: new Date(rejection.opensAt).toISOString() };
      const retryAfterSeconds = secondsUp(rejection.opensAt - now);
      return problem('sale-not-open', { requestId, members, retryAfterSeconds });
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

/** Whole seconds, at least 1: a zero would invite a busy loop. */
export function secondsUp(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000));
}
