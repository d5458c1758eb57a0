import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { SECURITY_HEADERS } from '../../platform/health-server';
import { BODY_BYTES_MAX } from './limits';
import { httpRequestId } from './request-id';

/** What a route decided, ready to be written. */
export interface HttpResponse {
  readonly status: number;
  /** Without content-length, connection, x-request-id and the SECURITY_HEADERS, which `writeResponse` adds. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
  /** Sent instead of the body, a part whenever the client has taken the one before. An error cuts the response off. */
  readonly stream?: AsyncIterable<string>;
  /** The problem's type when the response is one; metrics count by it. */
  readonly problem?: string;
}

/** The API reference has a policy of its own. */
const SECURITY_LINES = Object.entries(SECURITY_HEADERS).flat();

/** A JSON response. `value` must be serialisable. */
export function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(value),
  };
}

/** The response with an ETag of its body and the given Cache-Control. */
export function tagged(response: HttpResponse, cacheControl: string): HttpResponse {
  const etag = `"${createHash('sha1').update(response.body).digest('base64url')}"`;
  return { ...response, headers: { ...response.headers, 'cache-control': cacheControl, etag } };
}

/** 304 when the If-None-Match header names the response's ETag, otherwise the response as it is. */
export function unlessKnown(response: HttpResponse, ifNoneMatch: string | undefined): HttpResponse {
  const { etag, 'cache-control': cacheControl } = response.headers;
  const known = ifNoneMatch?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  if (etag === undefined || !(known.includes(etag) || known.includes('*'))) return response;
  const headers = { ...(cacheControl !== undefined && { 'cache-control': cacheControl }), etag };
  return { status: 304, headers, body: '' };
}

/**
 * Writes a response. `close` ends the connection after it. Does nothing when the client has left.
 *
 * A request whose body is still arriving and may be large also ends its connection: reading the body to its end would
 * cost more than a new connection does.
 */
export function writeResponse(
  req: IncomingMessage,
  res: ServerResponse,
  { status, headers, body, stream }: HttpResponse,
  { close }: { readonly close: boolean },
): void {
  if (res.destroyed || res.headersSent) return;
  const abandoned = !req.complete && (mayBeLarge(req) || status === 408);
  const bytes = Buffer.byteLength(body);
  // A flat list: an object that is spread and extended costs microseconds, and Node takes either.
  const lines =
    headers['content-security-policy'] === undefined
      ? SECURITY_LINES.slice()
      : SECURITY_LINES.slice(0, 2);
  lines.push('x-request-id', httpRequestId(req));
  for (const name of Object.keys(headers)) lines.push(name, headers[name] ?? '');
  if (status !== 204 && status !== 304 && !stream) lines.push('content-length', String(bytes));
  if (close || abandoned) lines.push('connection', 'close');
  res.writeHead(status, lines);
  // Whoever makes the stream reports its errors; a client that leaves is none.
  if (stream && req.method !== 'HEAD') void pipeline(stream, res).catch(() => undefined);
  else if (abandoned) endAfterLingering(req, res, body);
  // latin1 writes the same bytes where all are ASCII, and is cheaper.
  else res.end(body, bytes === body.length ? 'latin1' : 'utf8');
}

/** A client on a fast line may have this much on its way before it reads the response. */
const LINGER_BYTES_MAX = 256 * 1024;

/** A client that has not taken a one-packet response by then will not. */
const LINGER_MS_MAX = 1_000;

/**
 * Sends the whole response but ends it later: when a socket closes that still has bytes to read, the kernel resets it,
 * and the reset can overtake the response. Meanwhile a bounded part of the body is read and thrown away.
 */
function endAfterLingering(req: IncomingMessage, res: ServerResponse, body: string | Buffer): void {
  let bytes = 0;
  const end = () => {
    clearTimeout(timer);
    res.end();
    req.socket.destroySoon();
  };
  const timer = setTimeout(end, LINGER_MS_MAX).unref();
  res.write(body);
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES_MAX) req.pause();
  });
  req.once('end', end).once('close', end).resume();
}

function mayBeLarge({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  return Number(headers['content-length'] ?? 0) > BODY_BYTES_MAX;
}
