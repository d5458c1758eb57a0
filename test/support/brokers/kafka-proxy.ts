import { connect, createServer, type Socket } from 'node:net';
import { listenOnLoopback, type LoopbackServer } from '../loopback-server';

/** Kinds of requests by their number in Kafka's protocol; the others are of no interest here. */
const KINDS: ReadonlyMap<number, RequestKind> = new Map([
  [0, 'produce'],
  [3, 'metadata'],
  [11, 'join-group'],
]);
export type RequestKind = 'produce' | 'metadata' | 'join-group' | 'other';

/** What becomes of an answer: it goes on to the client, or the connection breaks in its place. */
export type Fate = 'pass' | 'cut';

export interface KafkaProxy extends LoopbackServer {
  /** Told of every request on its way to the broker. */
  onRequest: (kind: RequestKind) => void;
  /** Decides over every answer on its way back; later ones of the same connection wait for the decision. */
  onAnswer: (kind: RequestKind) => Fate | Promise<Fate>;
  /** Lets everything through again. */
  readonly heal: () => void;
}

/** Stands before one broker, listening on `port` of 127.0.0.1, and knows where its requests and answers begin and end. */
export async function startKafkaProxy(target: () => number): Promise<KafkaProxy> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const broker = connect(target(), '127.0.0.1');
    const kinds = new Map<number, RequestKind>();
    for (const socket of [client, broker]) {
      open.add(socket);
      socket.setNoDelay(true);
      // A broken connection is what the proxy is for: either side takes the other along.
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
        if ((await proxy.onAnswer(kind)) === 'pass') client.write(frame);
        else client.destroy();
      });
    });
  });
  const heal = () => {
    proxy.onRequest = () => undefined;
    proxy.onAnswer = () => 'pass';
  };
  const proxy: KafkaProxy = {
    ...(await listenOnLoopback(server, { open })),
    onRequest: () => undefined,
    onAnswer: () => 'pass',
    heal,
  };
  return proxy;
}

/** A frame is its length in four bytes, and then as many bytes. */
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
