import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFinal } from '../../engine/orders/order-status';
import { parseRequestId, type RequestId } from '../../engine/orders/order';
import type { ErrorLog } from '../http/errors';
import type { HttpResponse } from '../http/response';
import { problem } from '../http/problems';
import type { OrderBody } from './order-view';
import type { Orders } from './orders';

/** Five looks a second: quick to the eye, and 500 streams cost Redis 5,000 small reads a second. */
const POLL_MS = 200;
const STREAMS_MAX = 500;

/** Proxies cut connections that are silent for half a minute or a minute. */
const KEEP_ALIVE_MS = 15_000;

/** A stream ends by itself; a browser comes back with the id of the last event it saw. */
const LIFE_MS_MAX = 120_000;

export interface OrderEventsOptions {
  /** Milliseconds; only tests shorten them. */
  readonly pollMs?: number;
  readonly lifeMs?: number;
  readonly keepAliveMs?: number;
  readonly streamsMax?: number;
}

export interface OrderEvents {
  /**
   * GET /orders/<raw>/events: takes over the response and streams the order up to its final outcome, or answers
   * as any other route. Throws RequestError before the stream has begun, never after.
   */
  readonly open: (
    raw: string | undefined,
    request: IncomingMessage,
    response: ServerResponse,
  ) => Promise<HttpResponse | 'streaming'>;
  readonly closeAll: () => void;
}

/** Server-sent events of single orders; each event is the whole order. */
export function createOrderEvents(
  orders: Orders,
  errors: ErrorLog,
  options: OrderEventsOptions = {},
): OrderEvents {
  const { pollMs = POLL_MS, lifeMs = LIFE_MS_MAX, streamsMax = STREAMS_MAX } = options;
  const { keepAliveMs = KEEP_ALIVE_MS } = options;
  const streams = new Set<ServerResponse>();

  /** The order now; 'unreadable' is no reason to end a stream that may go on in a moment. */
  const look = (requestId: RequestId) =>
    orders.find(requestId).catch((error: unknown) => {
      errors.report('an order stream could not read its order', error);
      return 'unreadable' as const;
    });

  const follow = async (
    stream: ServerResponse,
    requestId: RequestId,
    first: OrderBody,
    seen: string,
  ) => {
    const endsAt = performance.now() + lifeMs;
    let wroteAt = performance.now();
    let shown = seen;
    let order: OrderBody | 'unreadable' | undefined = first;
    while (order !== undefined && performance.now() < endsAt && isOpen(stream)) {
      if (order !== 'unreadable' && version(order) !== shown) {
        shown = version(order);
        wroteAt = performance.now();
        stream.write(`id: ${shown}\ndata: ${JSON.stringify(order)}\n\n`);
      } else if (performance.now() - wroteAt >= keepAliveMs) {
        wroteAt = performance.now();
        stream.write(': still here\n\n');
      }
      if (order !== 'unreadable' && isFinal(order.status)) break;
      await sleep(pollMs, undefined, { ref: false });
      order = await look(requestId);
    }
  };

  return {
    open: async (raw, request, response) => {
      const requestId = parseRequestId(raw);
      if (requestId === undefined) return problem('unknown-order');
      if (streams.size >= streamsMax) return problem('not-accepted', { requestId });
      const first = await orders.find(requestId);
      if (!first) return problem('unknown-order', { requestId });

      const seen = String(request.headers['last-event-id'] ?? '');
      // 204 is what stops a browser from coming back: it has already seen how the order ended.
      if (isFinal(first.status) && seen === version(first)) return NOTHING_MORE;
      response.writeHead(200, STREAM_HEADERS);
      response.flushHeaders();
      if (request.method === 'HEAD') {
        response.end();
        return 'streaming';
      }
      streams.add(response);
      // Not awaited: a stream may last minutes, its request has been answered.
      void follow(response, requestId, first, seen).finally(() => {
        streams.delete(response);
        response.end();
      });
      return 'streaming';
    },
    closeAll: () => {
      for (const stream of streams) stream.end();
    },
  };
}

/** Grows with every change of the order, and is the same in every gateway. */
function version({ generation, timeline }: OrderBody): string {
  return `${generation}.${timeline.length}`;
}

function isOpen(stream: ServerResponse): boolean {
  return !stream.destroyed && !stream.writableEnded;
}

const NOTHING_MORE: HttpResponse = { status: 204, headers: {}, body: '' };

const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  connection: 'close',
  // Tells nginx not to collect events until a buffer is full.
  'x-accel-buffering': 'no',
};
