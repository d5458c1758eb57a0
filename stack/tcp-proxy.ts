import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A server's second address, behind which it can be frozen or away for those who connect there. */
export async function startTcpProxy(target: { readonly host: string; readonly port: number }) {
  const sockets = new Set<Socket>();
  let state: 'open' | 'frozen' | 'away' = 'open';
  const server = createServer((client) => {
    if (state === 'away') {
      client.destroy();
      return;
    }
    const upstream = connect(target);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.on('data', (bytes) => other.write(bytes));
      if (state === 'frozen') one.pause();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    /** Nothing arrives any more, in either direction, and connections stay. */
    freeze: (): void => {
      state = 'frozen';
      for (const socket of sockets) socket.pause();
    },
    /** Connections end, and new ones as well. */
    leave: (): void => {
      state = 'away';
      cut();
    },
    /** Whatever was held up arrives. */
    open: (): void => {
      state = 'open';
      for (const socket of sockets) socket.resume();
    },
    close: async (): Promise<void> => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
