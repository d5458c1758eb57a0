import type { LedgerEntry, LedgerState } from '../../engine/orders/ledger';
import { failureReason, orderStatus, type OrderStatus } from '../../engine/orders/order-status';
import type { ItemId, RequestId } from '../../engine/orders/order';

export interface OrderLinks {
  readonly self: string;
  readonly events: string;
  /** The order's workflow in the Temporal Web UI, where one is configured. */
  readonly trace?: string;
}

/** An order as the outside reads it. Times are ISO 8601. */
export interface OrderBody {
  readonly request_id: string;
  readonly item_id: string;
  readonly user_id: string;
  readonly amount: number;
  readonly status: OrderStatus;
  readonly reason: string | null;
  readonly payment_id: string | null;
  readonly generation: number;
  readonly accepted_at: string;
  readonly finished_at: string | null;
  readonly timeline: readonly { readonly at: string; readonly state: LedgerState }[];
  readonly links: OrderLinks;
}

export interface FoundOrder {
  readonly requestId: RequestId;
  readonly itemId: ItemId;
  readonly entry: LedgerEntry;
}

export interface OrderView {
  readonly links: (requestId: RequestId) => OrderLinks;
  /** Undefined while the order is only held: nobody has promised it to its buyer yet. */
  readonly order: (found: FoundOrder) => OrderBody | undefined;
}

/** Where the Temporal Web UI shows workflows: base URL without a slash at its end, and the namespace. */
export interface TraceTarget {
  readonly uiUrl: string;
  readonly namespace: string;
}

/** Turns ledger entries into what buyers see. `trace` absent: no trace links. */
export function createOrderView(trace?: TraceTarget): OrderView {
  const traceBase = trace && `${trace.uiUrl}/namespaces/${trace.namespace}/workflows/`;
  // Ids hold only characters that stand for themselves in a path.
  const links = (requestId: RequestId): OrderLinks => ({
    self: `/orders/${requestId}`,
    events: `/orders/${requestId}/events`,
    ...(traceBase !== undefined && { trace: traceBase + requestId }),
  });
  return {
    links,
    order: ({ requestId, itemId, entry }) => {
      const status = orderStatus(entry);
      if (status === undefined) return undefined;
      return {
        request_id: requestId,
        item_id: itemId,
        user_id: entry.userId,
        amount: entry.units,
        status,
        reason: status === 'failed' ? failureReason(entry) : null,
        payment_id: entry.paymentId ?? null,
        generation: entry.generation,
        accepted_at: iso(entry.acceptedAt),
        finished_at: entry.finishedAt === undefined ? null : iso(entry.finishedAt),
        timeline: entry.timeline.map(({ at, state }) => ({ at: iso(at), state })),
        links: links(requestId),
      };
    },
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
