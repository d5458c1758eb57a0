import type { OrderStatus } from '../../engine/orders/order-status';
import type { OrderBody } from '../gateway/gateway-answers';
import { table, type Cell } from './table';
import type { Colour, Terminal } from './terminal';

/** Where the Temporal Web UI is, for orders whose gateway does not know. */
export interface TraceFallback {
  readonly temporalUi: string;
  readonly namespace: string;
}

/** An order as a table for people. */
export function orderText(
  terminal: Pick<Terminal, 'colour'>,
  order: OrderBody,
  trace: TraceFallback,
): string {
  const { requestId, itemId, userId, amount, status, reason } = order;
  const outcome = reason === null ? status : `${status}: ${reason}`;
  const rows: Cell[][] = [
    ['order', requestId],
    ['status', { text: outcome, colour: STATUS_COLOURS[status] }],
    ['item', `${itemId} × ${amount} for ${userId}`],
    ['payment', order.paymentId ?? 'none'],
    ['generation', order.generation],
    ['accepted', order.acceptedAt],
    ['finished', order.finishedAt ?? 'not yet'],
    ...order.timeline.map(({ at, state }, index) => [
      index === 0 ? 'timeline' : '',
      step(at, state),
    ]),
    ['workflow', order.trace ?? traceLink(trace, requestId)],
  ];
  return table(terminal, rows);
}

function step(at: string, state: string): string {
  return `${at}  ${state}`;
}

export function traceLink({ temporalUi, namespace }: TraceFallback, requestId: string): string {
  return `${temporalUi}/namespaces/${namespace}/workflows/${encodeURIComponent(requestId)}`;
}

const STATUS_COLOURS = {
  queued: 'yellow',
  reserved: 'yellow',
  confirmed: 'green',
  failed: 'red',
  cancelled: 'grey',
} as const satisfies Record<OrderStatus, Colour>;
