import {
  connect,
  createSecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { listenOnLoopback, type LoopbackServer } from '../loopback-server';
import type { Certificates } from './certificates';

/** Headers that belong to a connection, not to the call. */
const CONNECTION_HEADERS = new Set([':scheme', ':authority', 'connection']);
const PERMISSION_DENIED = '7';

/**
 * A TLS proxy of a Temporal server at `target` that requires an API key, as Temporal Cloud does. It denies calls without
 * `authorization: Bearer <key>`.
 */
export async function startApiKeyProxy(
  { server }: Certificates,
  { key, target }: { readonly key: string; readonly target: number },
): Promise<LoopbackServer> {
  const upstream = connect(`http://127.0.0.1:${String(target)}`);
  const sessions = new Set<Http2Session>([upstream]);
  const proxy = createSecureServer({ cert: server.cert, key: server.key });
  proxy.on('session', (session) => sessions.add(session));
  proxy.on('stream', (stream, headers) => {
    if (headers.authorization === `Bearer ${key}`) passOn(stream, headers, upstream);
    else deny(stream);
  });
  return listenOnLoopback(proxy, { open: sessions });
}

/** A gRPC response that consists only of trailers. */
function deny(stream: ServerHttp2Stream): void {
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': PERMISSION_DENIED,
      'grpc-message': 'wrong or missing key',
    },
    { endStream: true },
  );
}

function passOn(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  upstream: ReturnType<typeof connect>,
): void {
  const call = upstream.request(
    Object.fromEntries(Object.entries(headers).filter(([name]) => !CONNECTION_HEADERS.has(name))),
  );
  stream.pipe(call);
  for (const [side, other] of [
    [stream, call],
    [call, stream],
  ] as const) {
    side.on('error', () => {
      other.close();
    });
  }
  let trailers: IncomingHttpHeaders = {};
  call.on('trailers', (sent: IncomingHttpHeaders) => {
    trailers = sent;
  });
  stream.on('wantTrailers', () => {
    stream.sendTrailers(trailers);
  });
  call.on('response', (responseHeaders) => {
    stream.respond(responseHeaders, { waitForTrailers: true });
    call.pipe(stream);
  });
}
