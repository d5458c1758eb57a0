import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  STATUS_CODES,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { SECURITY_HEADERS } from '../../platform/health-server';
import { announcesNothing } from './body-reader';
import { serveInTurn, type ConnectionOptions } from './connections';
import { problem, withAbsoluteType } from './problems';
import { writeResponse, type HttpResponse } from './response';

const BOUNDS = {
  // Node's own default is a minute for headers and five for a request.
  headersMsMax: 5_000,
  // Above the deadline of the body reader, whose response explains itself.
  requestMsMax: 10_000,
  // Above the minute after which usual load balancers drop an idle connection: the sending side must close first.
  keepAliveMs: 65_000,
  // No byte has moved while a request is in hand. Above the longest work for an operator that sends nothing meanwhile.
  stalledMs: 120_000,
  // About 10 KiB each; beyond it new connections are dropped, which keeps the open ones fast.
  connectionsMax: 10_000,
  // Beyond it the connections that have been idle longest make room for new ones.
  connectionsShedFrom: 9_000,
  // Without a file left for it the kernel ends a new connection, on either listener, and nobody is told.
  openFilesMax: Infinity,
  // See serveInTurn.
  holdUpMs: undefined as number | undefined,
  waitingConnectionsMax: undefined as number | undefined,
};

/** A buyer's headers take a few hundred bytes, behind proxies and with cookies a few thousand. `headers-too-large` names it. */
const HEADER_BYTES_MAX = 8 * 1024;

/** The other files are for the other listener, Redis, Kafka and Temporal. */
const FILES_SHARE = { max: 0.75, shedFrom: 0.7 };

/** How often Node looks for connections that have exceeded a bound: at least four times within the shortest one. */
const CHECKS_MS_MAX = 1_000;

/**
 * An HTTP server for the public internet: everything is bounded in time, size and number. `openFilesMax` is the process's;
 * only tests change other bounds.
 */
export function createHttpServer(
  listener: RequestListener,
  {
    report,
    publicUrl,
    isProxy,
  }: Pick<ConnectionOptions, 'report' | 'isProxy'> & { readonly publicUrl?: string | undefined },
  changed: Partial<typeof BOUNDS> = {},
): Server {
  const bounds = { ...BOUNDS, ...changed };
  const checked: RequestListener = (req, res) => {
    const refusal = hasOneHost(req) ? refuseBody(req) : NOT_ONE_HOST;
    if (!refusal) listener(req, res);
    else writeResponse(req, res, withAbsoluteType(refusal, publicUrl), { close: true });
  };
  const server = createServer({
    headersTimeout: bounds.headersMsMax,
    requestTimeout: bounds.requestMsMax,
    keepAliveTimeout: bounds.keepAliveMs,
    connectionsCheckingInterval: Math.min(CHECKS_MS_MAX, bounds.headersMsMax / 4),
    maxHeaderSize: HEADER_BYTES_MAX,
    // Node's own response to a request without Host has no body; ours is a problem.
    requireHostHeader: false,
  });
  server.timeout = bounds.stalledMs;
  const { connectionsMax, connectionsShedFrom, openFilesMax } = bounds;
  server.maxConnections = Math.min(connectionsMax, openFilesMax * FILES_SHARE.max);
  const inTurn = serveInTurn(server, checked, {
    shedFrom: Math.min(connectionsShedFrom, openFilesMax * FILES_SHARE.shedFrom),
    holdUpMs: bounds.holdUpMs,
    waitingConnectionsMax: bounds.waitingConnectionsMax,
    report,
    isProxy,
  });
  server.on('request', inTurn.onRequest);
  // Node's own response to an unknown Expect is an empty 417; HTTP allows to ignore the header.
  server.on('checkExpectation', inTurn.onRequest);
  server.on('clientError', (error: Error & { code?: string }, socket: Socket) => {
    inTurn.onBroken(socket, brokenRequestResponse(brokenRequestProblem(error.code), publicUrl));
  });
  // Without a listener Node destroys the connection.
  server.on('connect', ({ socket }) => {
    socket.on('error', () => undefined);
    inTurn.onBroken(socket, brokenRequestResponse(NO_PROXY, publicUrl));
  });
  return server;
}

/**
 * Connections that the kernel completes before they are accepted; beyond it a client tries again after a second. Node's
 * default, 511, is what a crowd opens in 0.1 s at the beginning of a sale. Linux caps it at net.core.somaxconn, 4,096.
 */
const BACKLOG = 4_096;

/** Starts to listen; port 0 takes a free one. Returns the port. Throws when the address is taken. */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen({ port, host, backlog: BACKLOG });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Accepts no more connections, waits up to `graceMs` for the open ones and then cuts them. */
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

/**
 * HTTP/1.1 requires one Host. Of two, Node keeps the first; a proxy in front may have routed and authorised by the second.
 * The raw headers are read because Node has dropped the second from the others.
 */
function hasOneHost({ rawHeaders, httpVersionMinor }: IncomingMessage): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts === 1 || (hosts === 0 && httpVersionMinor === 0);
}

const NOT_ONE_HOST = problem('invalid-request', {
  detail: 'A request must have one Host header.',
});

/** Nobody would read the body of a GET, which would stay in memory for as long as an event stream lasts. */
function refuseBody({ method, headers }: IncomingMessage): HttpResponse | undefined {
  const isRead = method === 'GET' || method === 'HEAD';
  return isRead && !announcesNothing(headers) ? NO_BODY : undefined;
}

const NO_BODY = problem('invalid-request', { detail: 'A GET has no body.' });

const NO_PROXY = problem('invalid-request', { detail: 'The gateway is no proxy.' });

/** Node gives what is not HTTP to another listener than the application; the sender gets a problem all the same. */
function brokenRequestResponse(response: HttpResponse, publicUrl: string | undefined): string {
  const { status, headers, body } = withAbsoluteType(response, publicUrl);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries({ ...headers, ...SECURITY_HEADERS, 'x-request-id': randomUUID() }).map(
      ([name, value]) => `${name}: ${value}`,
    ),
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${String(body)}`;
}

function brokenRequestProblem(code: string | undefined) {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return problem('headers-too-large');
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return problem('request-timeout', { detail: 'The request stopped arriving.' });
  }
  return problem('invalid-request', { detail: 'This is not an HTTP request.' });
}
