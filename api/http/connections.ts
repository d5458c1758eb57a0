import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf } from './clients';
import type { ReportPressure } from './errors';

/**
 * Requests of one connection that are not answered. A client that does not wait for responses is served all the same, if
 * one after the other; what it may send ahead has to be kept.
 */
const UNANSWERED_MAX = 8;

/**
 * Node parses all that a connection has sent in one piece, up to 64 KiB, before it can be closed: some 2 ms; and whoever had
 * a slow body given up sends the next one at once. So the connections of a client of which one was closed begin only so long
 * after that, and each one that is closed makes it longer. Those that would wait longer than the maximum are not read at
 * all, and end with the time for headers: dropped, they would come again at once.
 */
const HOLD_UP_MS = 100;
const HOLD_UP_MS_MAX = 4_000;

/** Clients that are remembered for that; the first one is forgotten beyond it. */
const HELD_UP_CLIENTS_MAX = 10_000;

interface Connection {
  /** The response to the request that is served. */
  serving: ServerResponse | undefined;
  /** Came while an earlier request of the connection was served. */
  readonly waiting: { readonly req: IncomingMessage; readonly res: ServerResponse }[];
  /** A response has been sent, or its client has left. */
  readonly onDone: () => void;
}

export interface ConnectionOptions {
  readonly shedFrom: number;
  readonly report: ReportPressure;
  /** Whether a connection carries the requests of many clients, so that no one of them is to hold up the others. */
  readonly isProxy?: ((connection: Pick<IncomingMessage, 'socket'>) => boolean) | undefined;
  /** Only tests change it. */
  readonly holdUpMs?: number | undefined;
}

/**
 * Gives each connection its share. One request of a connection is served at a time, so that pipelining is no way to more
 * of the gateway than a connection that waits. While more than `shedFrom` connections are open, each new one closes the
 * one that has been idle longest.
 */
export function serveInTurn(
  server: Server,
  listener: RequestListener,
  { shedFrom, report, isProxy = () => false, holdUpMs = HOLD_UP_MS }: ConnectionOptions,
) {
  const penalties = createPenalties(report, holdUpMs);
  const connections = new Map<Socket, Connection>();
  /** Connections without a request in hand, in the order in which they became idle. */
  const idle = new Set<Socket>();

  const serveNext = (socket: Socket, connection: Connection) => {
    const next = connection.waiting.shift();
    // After a response that ends the connection no other can be sent.
    if (!next || socket.destroyed || socket.writableEnded) return;
    connection.serving = next.res;
    next.res.on('close', connection.onDone);
    listener(next.req, next.res);
  };

  const open = (socket: Socket): Connection => {
    // A socket that is closed does not know it any more.
    const { remoteAddress } = socket;
    const isOfMany = isProxy({ socket });
    const connection: Connection = {
      serving: undefined,
      waiting: [],
      onDone: () => {
        if (connection.serving?.statusCode === 408 && !isOfMany) penalties.add(remoteAddress);
        if (connection.waiting.length > 0) {
          // In the next turn of the event loop: the requests of other connections come in between.
          setImmediate(serveNext, socket, connection);
          return;
        }
        connection.serving = undefined;
        if (!socket.destroyed) idle.add(socket);
      },
    };
    return connection;
  };

  const shedLongestIdle = (except?: Socket) => {
    const [longest] = idle;
    if (!longest || longest === except) return;
    report('an idle connection was closed to make room', undefined);
    idle.delete(longest);
    longest.destroy();
  };

  server.on('connection', (socket) => {
    connections.set(socket, open(socket));
    idle.add(socket);
    socket.once('close', () => {
      connections.delete(socket);
      idle.delete(socket);
    });
    penalties.apply(socket);
    if (connections.size > shedFrom) shedLongestIdle(socket);
  });
  server.on('drop', () => {
    report('a new connection was dropped: too many are open', undefined);
    // Those that were busy while the number grew may be idle by now.
    shedLongestIdle();
  });

  const onRequest: RequestListener = (req, res) => {
    const { socket } = req;
    const connection = connections.get(socket);
    // Node goes on with what a socket has received in one piece, also after it was destroyed.
    if (!connection || socket.destroyed) return;
    if (!connection.serving) {
      connection.serving = res;
      idle.delete(socket);
      res.on('close', connection.onDone);
      listener(req, res);
    } else if (connection.waiting.length < UNANSWERED_MAX - 1) {
      connection.waiting.push({ req, res });
    } else {
      report('a connection was closed: too many requests without an answer', undefined);
      if (!isProxy(req)) penalties.add(socket.remoteAddress);
      socket.destroy();
    }
  };

  return {
    /** For the requests of `server`. */
    onRequest,
    /** Whether a request that has come to its end has no response yet. */
    owesResponse: (socket: Socket): boolean =>
      connections.get(socket)?.serving?.req.complete ?? false,
  };
}

/** Holds up the connections of clients that had one closed. */
function createPenalties(report: ReportPressure, holdUpMs: number) {
  /** When the next connection of an address may begin, on the clock of performance.now(). */
  const begins = new Map<string, number>();

  return {
    /** For a connection that is about to be closed. */
    add: (remoteAddress: string | undefined): void => {
      const address = networkOf(remoteAddress);
      const now = performance.now();
      const from = Math.min(Math.max(now, begins.get(address) ?? 0), now + HOLD_UP_MS_MAX);
      begins.delete(address);
      begins.set(address, from + holdUpMs);
      const [first] = begins.keys();
      if (begins.size > HELD_UP_CLIENTS_MAX && first !== undefined) begins.delete(first);
    },
    /** For a new connection. */
    apply: (socket: Socket): void => {
      if (begins.size === 0) return;
      const address = networkOf(socket.remoteAddress);
      const beginsAt = begins.get(address);
      if (beginsAt === undefined) return;
      const ms = beginsAt - performance.now();
      if (ms <= 0) {
        begins.delete(address);
        return;
      }
      report('a connection was held up: its client had one closed', undefined);
      // After the tick in which Node begins to read.
      process.nextTick(() => socket.pause());
      if (ms > HOLD_UP_MS_MAX) return;
      const timer = setTimeout(() => socket.resume(), ms);
      socket.once('close', () => {
        clearTimeout(timer);
      });
    },
  };
}
