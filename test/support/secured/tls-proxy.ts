import { connect, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import { listenOnLoopback, type LoopbackServer } from '../loopback-server';
import type { Certificates } from './certificates';

/**
 * A TLS proxy of a server without TLS. It requires a client certificate of the test's CA and forwards the decrypted bytes,
 * so clients see a server with mutual TLS. `port` 0 is any free port.
 */
export async function startTlsProxy(
  { ca, server }: Certificates,
  { port, target }: { readonly port: number; readonly target: number },
): Promise<LoopbackServer> {
  const open = new Set<Socket>();
  const proxy = createServer(
    {
      cert: server.cert,
      key: server.key,
      ca: ca.cert,
      requestCert: true,
      rejectUnauthorized: true,
      // gRPC requires that HTTP/2 is negotiated. Other clients do not negotiate.
      ALPNProtocols: ['h2'],
    },
    (inside) => {
      const outside = connect(target, '127.0.0.1');
      for (const [socket, other] of [
        [inside, outside],
        [outside, inside],
      ] as const) {
        open.add(socket);
        socket.setNoDelay(true);
        socket.pipe(other);
        // When one side ends, also by a refused connection, the other side is closed.
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          open.delete(socket);
          other.destroy();
        });
      }
    },
  );
  // Some tests connect without a certificate, which fails in the handshake.
  proxy.on('tlsClientError', (_, socket) => socket.destroy());
  return listenOnLoopback(proxy, { port, open });
}
