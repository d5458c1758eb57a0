import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpResponse } from './response';
import { BODY_BYTES_MAX } from './body-reader';

/**
 * Writes an answer. `close` ends the connection after it. Does nothing when the client has gone.
 *
 * A request whose body is still arriving and may be large also ends its connection: reading it to the end
 * would cost more than a new connection does.
 */
export function writeAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: HttpResponse,
  { close }: { readonly close: boolean },
): void {
  if (response.destroyed || response.headersSent) return;
  const abandoned = !request.complete && (mayBeLarge(request) || answer.status === 408);
  const bytes = Buffer.byteLength(answer.body);
  // A flat list: an object that is spread and extended costs microseconds, and Node takes either.
  const headers: string[] = [];
  for (const name of Object.keys(answer.headers)) headers.push(name, answer.headers[name] ?? '');
  if (!isBodyless(answer.status)) headers.push('content-length', String(bytes));
  if (close || abandoned) headers.push('connection', 'close');
  response.writeHead(answer.status, headers);
  if (abandoned) endAfterLingering(request, response, answer.body);
  // The same bytes where all are ASCII, and cheaper to write.
  else response.end(answer.body, bytes === answer.body.length ? 'latin1' : 'utf8');
}

/** A client on a fast line may have this much on its way before it reads the answer. */
const LINGER_BYTES_MAX = 256 * 1024;

/** A client that has not taken a one-packet answer by then will not. */
const LINGER_MS_MAX = 1_000;

/**
 * Sends the whole answer but ends it later: closing a socket that still has bytes to read makes the kernel reset it,
 * and the reset can overtake the answer. Meanwhile a bounded part of the body is thrown away, and no more is read.
 */
function endAfterLingering(request: IncomingMessage, response: ServerResponse, body: string): void {
  let bytes = 0;
  const end = () => {
    clearTimeout(timer);
    response.end();
    request.socket.destroySoon();
  };
  const timer = setTimeout(end, LINGER_MS_MAX).unref();
  response.write(body);
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES_MAX) request.pause();
  });
  request.once('end', end).once('close', end).resume();
}

function mayBeLarge({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  return Number(headers['content-length'] ?? 0) > BODY_BYTES_MAX;
}

function isBodyless(status: number): boolean {
  return status === 204 || status === 304;
}
