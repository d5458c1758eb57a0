import type { IncomingMessage, RequestListener } from 'node:http';
import { SECURITY_HEADERS } from '../../platform/health-server';
import { BODY_BYTES_MAX } from './limits';
import { problem, withAbsoluteType } from './problems';
import { httpRequestId } from './request-id';
import type { HttpResponse } from './response';

/**
 * A purchase is refused at once and told so this much later. Clients that ignore Retry-After and ask again on the same
 * connection could otherwise take the whole CPU: at three times the load, accepted purchases fell to 0.42 of their peak.
 * With the delay a connection costs two requests a second, and all delayed responses are sent within a shutdown's bound.
 */
const DELAY_MS = { min: 250, max: 750 };

/** Responses prepared in advance, each with its own delay and Retry-After; taking them in turn is as good as random. */
const RESPONSES = 64;

/**
 * Responds 503 to purchases that arrive while the gateway is full, before anything else: without a router, a body or an
 * object made for them. The number of delayed responses is bounded by the number of connections. Other requests pass.
 */
export function shedLoad(
  listener: RequestListener,
  isFull: () => boolean,
  onShed: (response: HttpResponse) => void,
  publicUrl?: string,
): RequestListener {
  const prepared = Array.from({ length: RESPONSES }, (_, i) => {
    const response = withAbsoluteType(problem('not-accepted'), publicUrl);
    const body = Buffer.from(response.body);
    const headers = {
      ...SECURITY_HEADERS,
      ...response.headers,
      'content-length': String(body.length),
    };
    const delayMs = Math.round(DELAY_MS.min + ((DELAY_MS.max - DELAY_MS.min) * i) / RESPONSES);
    return { response, body, headers: Object.entries(headers).flat(), delayMs };
  });
  let next = 0;
  return (req, res) => {
    const shed = isFull() && isSmallPurchase(req) ? prepared[next++ % RESPONSES] : undefined;
    if (!shed) {
      listener(req, res);
      return;
    }
    onShed(shed.response);
    // Thrown away as it comes: bodies of refused purchases are in no bound of memory.
    req.resume();
    setTimeout(() => {
      if (res.destroyed) return;
      res.writeHead(503, [...shed.headers, 'x-request-id', httpRequestId(req)]).end(shed.body);
    }, shed.delayMs);
  };
}

/** A request whose body may be large must end its connection; it takes the ordinary way, which does that. */
function isSmallPurchase({ url, method, headers }: IncomingMessage): boolean {
  if (url !== '/buy' || method !== 'POST') return false;
  return Number(headers['content-length']) <= BODY_BYTES_MAX;
}
