import { connect, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import { listenOnLoopback, type LoopbackServer } from '../loopback-server';
import type { Certificates } from './certificates';

/**
 * TLS in front of a server that has none: it ends the encryption, asks every client for a certificate of our authority
 * and passes the bytes on. For a client it is a server with mutual TLS. `port` 0: any free one.
 */
export async function startTlsProxy(
  { ca, server }: Certificates,
  { port, target }: { readonly port: number; readonly target: number },
): Promise<LoopbackServer> {
  const open = new Set<Socket>();
  const proxy = createServer(
    {
      ...{ cert: server.cert, key: server.key, ca: ca.cert },
      requestCert: true,
      rejectUnauthorized: true,
      // gRPC insists on HTTP/2 being agreed on; the others agree on nothing.
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
        // Whatever ends one side, a refused connection too, ends the other.
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          open.delete(socket);
          other.destroy();
        });
      }
    },
  );
  // A client without a certificate is refused in its handshake, which is what some tests are for.
  proxy.on('tlsClientError', (_, socket) => socket.destroy());
  return listenOnLoopback(proxy, { port, open });
}
