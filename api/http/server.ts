import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { problem } from './problems';

export interface DoorBounds {
  readonly headersMsMax: number;
  readonly requestMsMax: number;
  readonly keepAliveMs: number;
  readonly connectionsMax: number;
}

const DOOR_BOUNDS: DoorBounds = {
  // The defaults of Node are made for friendly networks: a minute for headers, five for a request.
  headersMsMax: 5_000,
  // Above the deadline of the body reader, whose answer explains itself.
  requestMsMax: 10_000,
  // Above the minute after which usual load balancers drop an idle connection: the side that sends must close first.
  keepAliveMs: 65_000,
  // About 10 KiB each; beyond it new connections are dropped rather than all of them slowed.
  connectionsMax: 10_000,
};

/** A buyer's headers take a few hundred bytes, behind proxies and with cookies a few thousand. */
const HEADER_BYTES_MAX = 8 * 1024;

/** How often Node looks for connections that are out of time; four looks fit into the shortest bound. */
const CHECKS_MS_MAX = 1_000;

/** An HTTP server for strangers: bounded in time, size and number in every respect. Only tests change the bounds. */
export function createHttpServer(
  listener: RequestListener,
  bounds: Partial<DoorBounds> = {},
): Server {
  const { headersMsMax, requestMsMax, keepAliveMs, connectionsMax } = { ...DOOR_BOUNDS, ...bounds };
  const server = createServer(
    {
      headersTimeout: headersMsMax,
      requestTimeout: requestMsMax,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: Math.min(CHECKS_MS_MAX, headersMsMax / 4),
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    listener,
  );
  server.maxConnections = connectionsMax;
  server.on('clientError', answerBrokenRequest);
  return server;
}

/** Starts to listen; port 0 takes a free one. Returns the port. Throws when the address cannot be had. */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return (server.address() as AddressInfo).port;
}

/** Takes no more connections and waits for the open ones up to `graceMs`, then cuts what is left. */
export async function closeHttpServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  server.closeIdleConnections();
  const cut = setTimeout(() => {
    server.closeAllConnections();
  }, graceMs);
  await closed;
  clearTimeout(cut);
}

/** What is not HTTP never reaches the application, but its sender gets a problem like everybody else. */
function answerBrokenRequest(
  error: Error & { code?: string },
  socket: Duplex & { bytesWritten?: number },
) {
  // A second answer on a connection that had one could be taken for the answer to another request.
  const mayAnswer = socket.writable && socket.bytesWritten === 0;
  if (!mayAnswer) {
    socket.destroy();
    return;
  }
  const { status, headers, body } = brokenRequestProblem(error.code);
  const lines = [
    `HTTP/1.1 ${status} ${status === 400 ? 'Bad Request' : 'Refused'}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

function brokenRequestProblem(code: string | undefined) {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return problem('too-large', { detail: `Headers may take ${HEADER_BYTES_MAX} bytes.` });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return problem('request-timeout', { detail: 'The request stopped arriving.' });
    case undefined:
    default:
      return problem('invalid-request', { detail: 'This is not an HTTP request.' });
  }
}
