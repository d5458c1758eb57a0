import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFinal } from '../../engine/orders/ledger';
import { type RequestId, parseRequestId } from '../../engine/orders/order';
import { SECURITY_HEADERS } from '../../platform/health-server';
import type { Buyer } from '../buyers/buyer-auth';
import type { Clients } from '../http/clients';
import type { ErrorLog, ReportPressure } from '../http/errors';
import { problem } from '../http/problems';
import { httpRequestId } from '../http/request-id';
import type { HttpResponse } from '../http/response';
import { ORDER_EXAMPLE, type OrderBody } from './order-view';
import { REQUEST_ID, type FindOrder } from './orders';
import { text, textResponse, type Parameter, type Route } from './route';

/** Five polls a second look immediate. */
const POLL_MS = 200;
const STREAMS_MAX = 500;

/**
 * Twice as many streams poll half as often, and so on: all of them together make at most so many polls in POLL_MS, some 500
 * a second. Without that STREAMS_MAX streams make 2,500, which buyers would feel.
 */
const POLLS_AT_ONCE_MAX = 100;

/** Proxies cut connections that are silent for 30 to 60 s. */
const KEEP_ALIVE_MS = 15_000;

/** Then the stream ends, and a browser reconnects with the id of the last event it saw. */
const LIFE_MS_MAX = 120_000;

/** On average. A client that ignores Retry-After and asks again on as many connections would otherwise take the CPU. */
const REFUSAL_DELAY_MS = 5_000;

/**
 * The more are refused, the longer each waits: all of them together are some 100 a second. A refusal and the next request
 * take 0.4 ms of CPU, so that 3,000 connections refused every five seconds took a quarter of a core.
 */
const REFUSALS_AT_ONCE_MAX = 500;

/** Below the 30 s after which usual proxies give up. */
const REFUSAL_DELAY_MS_MAX = 25_000;

export interface OrderEventsOptions {
  /** Milliseconds; only tests shorten them. */
  readonly pollMs?: number;
  readonly lifeMs?: number;
  readonly keepAliveMs?: number;
  readonly streamsMax?: number;
  readonly refusalDelayMs?: number;
}

/**
 * GET /orders/<id>/events: server-sent events, each of which is the whole order, up to its final outcome.
 * `closeAll` ends every open stream.
 */
// eslint-disable-next-line max-lines-per-function -- a third of it declares the route
export function createOrderEvents(
  {
    findOrder,
    errors,
    clients,
    report,
  }: {
    readonly findOrder: FindOrder;
    readonly errors: ErrorLog;
    readonly clients: Pick<Clients, 'keyOf'>;
    readonly report: ReportPressure;
  },
  options: OrderEventsOptions = {},
): { readonly route: Route; readonly closeAll: () => void } {
  const { pollMs = POLL_MS, lifeMs = LIFE_MS_MAX, streamsMax = STREAMS_MAX } = options;
  const { keepAliveMs = KEEP_ALIVE_MS, refusalDelayMs = REFUSAL_DELAY_MS } = options;
  const streams = new Set<ServerResponse>();
  /** Streams and look-ups before them. */
  const places = createPlaces(streamsMax);
  /** Refusals that wait. */
  let refused = 0;

  /** A failed read does not end the stream: the next one may succeed. */
  const read = (requestId: RequestId, id: string, buyer: Buyer | undefined) =>
    findOrder(requestId, buyer).catch((error: unknown) => {
      const fields = { requestId, httpRequestId: id };
      errors.report('an order stream could not read its order', error, fields);
      return 'unreadable' as const;
    });

  const follow = async (
    stream: ServerResponse,
    requestId: RequestId,
    first: OrderBody,
    lastSeen: string,
    id: string,
    buyer: Buyer | undefined,
  ) => {
    const endsAt = performance.now() + Math.min(lifeMs, tokenMs(buyer));
    let wroteAt = performance.now();
    let shown = lastSeen;
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
      await sleep(pollMs * Math.max(1, streams.size / POLLS_AT_ONCE_MAX), undefined, {
        ref: false,
      });
      order = await read(requestId, id, buyer);
    }
  };

  const handle: Route['handle'] = async ({ params, req, res, buyer }) => {
    const requestId = parseRequestId(params['request_id']);
    if (requestId === undefined) return problem('unknown-order');
    const id = httpRequestId(req);
    const client = clients.keyOf(req);
    if (!places.take(client)) {
      report('an event stream was refused: too many are open', undefined, { httpRequestId: id });
      refused += 1;
      await sleep(refusalMs(refusalDelayMs, refused), undefined, { ref: false });
      refused -= 1;
      return problem('not-accepted', { requestId });
    }
    let isStream = false;
    try {
      const first = await findOrder(requestId, buyer);
      if (!first) return problem('unknown-order', { requestId });

      const lastSeen = String(req.headers['last-event-id'] ?? '');
      // A browser stops reconnecting only at a 204: it has already seen the final outcome.
      if (isFinal(first.status) && lastSeen === version(first)) return NOTHING_MORE;
      res.writeHead(200, { ...STREAM_HEADERS, 'x-request-id': id }).flushHeaders();
      if (req.method === 'HEAD') {
        res.end();
        return undefined;
      }
      streams.add(res);
      isStream = true;
      // Not awaited: a stream can last minutes.
      void follow(res, requestId, first, lastSeen, id, buyer).finally(() => {
        streams.delete(res);
        places.leave(client);
        res.end();
      });
      return undefined;
    } finally {
      if (!isStream) places.leave(client);
    }
  };

  return {
    route: {
      method: 'get',
      path: '/orders/{request_id}/events',
      id: 'orderEvents',
      summary: 'Follow an order',
      description:
        'Server-sent events. The data of each event is the whole order. The stream ends with the final outcome, with the token that opened it, or after two minutes.',
      parameters: [REQUEST_ID, LAST_EVENT_ID],
      responses: [
        textResponse(
          'A stream of events.',
          'text/event-stream',
          `id: 1.4\ndata: ${JSON.stringify(ORDER_EXAMPLE)}\n\n`,
        ),
        {
          status: 204,
          description: 'The final outcome has already been received; do not reconnect.',
        },
      ],
      problems: ['unknown-order', 'internal', 'not-accepted'],
      handle,
    },
    closeAll: () => {
      for (const stream of streams) stream.end();
    },
  };
}

const LAST_EVENT_ID: Parameter = {
  in: 'header',
  name: 'Last-Event-ID',
  description: 'the id of the last event that was received',
  schema: text('an event id'),
};

/** How long a refusal waits beside `refused` in all. Random, so that those that came together do not come back together. */
export function refusalMs(delayMs: number, refused: number): number {
  const average = delayMs * Math.max(1, refused / REFUSALS_AT_ONCE_MAX);
  return Math.min(average * (0.5 + Math.random()), REFUSAL_DELAY_MS_MAX);
}

/** What is left of a buyer's token, which a stream must not outlive. */
function tokenMs(buyer: Buyer | undefined): number {
  return buyer ? buyer.validUntil - Date.now() : Infinity;
}

/**
 * Places for streams. A client may take one while it has fewer than are free: alone it gets half of them, two get a third
 * each, and however many one opens, there is room for others. Without a known client only the total counts.
 */
function createPlaces(max: number) {
  let taken = 0;
  const byClient = new Map<string, number>();
  const ofClient = (client: string) => byClient.get(client) ?? 0;
  return {
    /** After a true the caller must call `leave` once. */
    take: (client: string | undefined): boolean => {
      if (taken >= max) return false;
      if (client !== undefined) {
        const own = ofClient(client);
        if (own >= max - taken) return false;
        byClient.set(client, own + 1);
      }
      taken += 1;
      return true;
    },
    leave: (client: string | undefined): void => {
      taken -= 1;
      if (client === undefined) return;
      const own = ofClient(client) - 1;
      if (own === 0) byClient.delete(client);
      else byClient.set(client, own);
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
  ...SECURITY_HEADERS,
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  connection: 'close',
  // Tells nginx not to buffer events.
  'x-accel-buffering': 'no',
};
