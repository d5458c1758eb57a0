import { once } from 'node:events';
import type { Server } from 'node:net';

export interface LoopbackServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/**
 * Makes a server listen on 127.0.0.1. `port` 0 is any free port. `close` destroys the connections in `open`; otherwise it
 * would wait for them to end.
 */
export async function listenOnLoopback(
  server: Server,
  { port = 0, open }: { readonly port?: number; readonly open: Iterable<{ destroy(): unknown }> },
): Promise<LoopbackServer> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    port: address.port,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const one of open) one.destroy();
      await closed;
    },
  };
}
