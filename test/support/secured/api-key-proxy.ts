import {
  connect,
  createSecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { listenOnLoopback, type LoopbackServer } from '../loopback-server';
import type { Certificates } from './certificates';

/** Headers that belong to one connection and not to the call. */
const OWN = new Set([':scheme', ':authority', 'connection']);
const PERMISSION_DENIED = '7';

/**
 * A Temporal that asks for an API key, as a cloud's does: TLS, and calls without `authorization: Bearer <key>` are
 * denied; the others go to the server at `target`.
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

/** An answer of gRPC that consists of its trailers only. */
function deny(stream: ServerHttp2Stream): void {
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': PERMISSION_DENIED,
      'grpc-message': 'a wrong key or none',
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
    Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN.has(name))),
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
  call.on('response', (answer) => {
    stream.respond(answer, { waitForTrailers: true });
    call.pipe(stream);
  });
}
