import { connect, createServer, type Socket } from 'node:net';
import { listenOnLoopback, type LoopbackServer } from '../loopback-server';

/** Requests by their API key in Kafka's protocol. The tests need no others. */
const KINDS: ReadonlyMap<number, RequestKind> = new Map([
  [0, 'produce'],
  [3, 'metadata'],
  [11, 'join-group'],
]);
export type RequestKind = 'produce' | 'metadata' | 'join-group' | 'other';

/** `pass`: the client gets the response. `cut`: the connection breaks instead. */
export type Verdict = 'pass' | 'cut';

export interface KafkaProxy extends LoopbackServer {
  /** Called for each request before it is sent to the broker. */
  onRequest: (kind: RequestKind) => void;
  /** Decides on each response. Later responses of the same connection wait for the decision. */
  onResponse: (kind: RequestKind) => Verdict | Promise<Verdict>;
  /** Lets everything through again. */
  readonly heal: () => void;
}

/** A proxy of one broker on 127.0.0.1 that handles whole requests and responses. */
export async function startKafkaProxy(target: () => number): Promise<KafkaProxy> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const broker = connect(target(), '127.0.0.1');
    const kinds = new Map<number, RequestKind>();
    for (const socket of [client, broker]) {
      open.add(socket);
      socket.setNoDelay(true);
      // When one side breaks, the other is closed as well.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        open.delete(socket);
        client.destroy();
        broker.destroy();
      });
    }
    eachFrame(client, (frame) => {
      const kind = KINDS.get(frame.readInt16BE(4)) ?? 'other';
      kinds.set(frame.readInt32BE(8), kind);
      proxy.onRequest(kind);
      broker.write(frame);
    });
    let before = Promise.resolve();
    eachFrame(broker, (frame) => {
      const kind = kinds.get(frame.readInt32BE(4)) ?? 'other';
      before = before.then(async () => {
        if ((await proxy.onResponse(kind)) === 'pass') client.write(frame);
        else client.destroy();
      });
    });
  });
  const heal = () => {
    proxy.onRequest = () => undefined;
    proxy.onResponse = () => 'pass';
  };
  const proxy: KafkaProxy = {
    ...(await listenOnLoopback(server, { open })),
    onRequest: () => undefined,
    onResponse: () => 'pass',
    heal,
  };
  return proxy;
}

/** A frame is a length of four bytes, followed by that many bytes. */
function eachFrame(from: Socket, onFrame: (frame: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  from.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      onFrame(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  });
}
