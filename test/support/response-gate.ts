import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface ResponseGate {
  /** host:port of the proxy. */
  readonly address: string;
  /** From now on requests take effect and their responses are held back. */
  readonly hold: () => void;
  readonly letThrough: () => void;
  /** Breaks every connection and drops the responses held back. New connections pass. */
  readonly cut: () => void;
  readonly close: () => Promise<void>;
}

/** A proxy of a server (host:port) that can hold back responses: the time between an effect and its response. */
export async function openResponseGate(target: string): Promise<ResponseGate> {
  const { hostname, port } = new URL(`tcp://${target}`);
  const pairs = new Set<{ near: Socket; far: Socket }>();
  let held = false;
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const pair = { near, far };
    pairs.add(pair);
    near.pipe(far);
    far.pipe(near);
    if (held) hold(pair);
    const end = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    // A killed client resets its connection, which is expected here.
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    hold: () => {
      held = true;
      pairs.forEach(hold);
    },
    letThrough: () => {
      held = false;
      for (const { near, far } of pairs) far.pipe(near);
    },
    cut: () => {
      held = false;
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
    },
    close: async () => {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      server.close();
      await once(server, 'close');
    },
  };
}

function hold({ near, far }: { near: Socket; far: Socket }): void {
  far.unpipe(near);
  far.pause();
}
