import type { IncomingMessage, RequestListener } from 'node:http';
import type { HttpResponse } from './response';
import { BODY_BYTES_MAX } from './body-reader';
import { problem } from './problems';

export interface TurnAwayOptions {
  readonly isFull: () => boolean;
  readonly onTurnedAway: (answer: HttpResponse) => void;
  /** Only tests shorten it. */
  readonly holdMs?: { readonly from: number; readonly to: number } | undefined;
}

/**
 * The refusal is decided at once and told this much later. Whoever ignores Retry-After and asks again on its connection
 * could otherwise have the whole CPU for being refused: at three times the load accepted purchases fell to 0.42 of their
 * peak that way. So much later, a connection costs two requests a second; and all of it is over within a shutdown's bound.
 */
const HOLD_MS = { from: 250, to: 750 };

/** So many refusals are prepared, with delays and Retry-After drawn for each: which comes next is as good as drawn anew. */
const ANSWERS = 64;

/**
 * Puts the answer to a purchase that comes while there is no room before everything else: no router, no body, no object
 * is made for it. What waits for its refusal is bounded by the number of connections. What is no purchase passes.
 */
export function turnAway(
  listener: RequestListener,
  { isFull, onTurnedAway, holdMs = HOLD_MS }: TurnAwayOptions,
): RequestListener {
  const refusals = Array.from({ length: ANSWERS }, (_, i) => ({
    ...prepare(problem('not-accepted')),
    delayMs: Math.round(holdMs.from + ((holdMs.to - holdMs.from) * i) / ANSWERS),
  }));
  let next = 0;
  return (request, response) => {
    const refusal = isFull() && isSmallPurchase(request) ? refusals[next++ % ANSWERS] : undefined;
    if (!refusal) {
      listener(request, response);
      return;
    }
    onTurnedAway(refusal.answer);
    setTimeout(() => {
      // Node reads the body past once the answer is out, and keeps the connection for the next request.
      if (!response.destroyed) response.writeHead(503, refusal.headers).end(refusal.body);
    }, refusal.delayMs);
  };
}

/** A body that may be large has to end its connection, which the ordinary way does. */
function isSmallPurchase({ url, method, headers }: IncomingMessage): boolean {
  if (url !== '/buy' || method !== 'POST') return false;
  return Number(headers['content-length']) <= BODY_BYTES_MAX;
}

function prepare(answer: HttpResponse) {
  const body = Buffer.from(answer.body);
  const headers = Object.entries({ ...answer.headers, 'content-length': String(body.length) });
  return { answer, body, headers: headers.flat() };
}
