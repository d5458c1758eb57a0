import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ReportPressure } from './errors';

/**
 * Requests of one connection that are not answered. A client that does not wait for responses is served all the same, if
 * one after the other; what it may send ahead has to be kept.
 */
const UNANSWERED_MAX = 8;

interface Connection {
  /** The request that is served. */
  serving: IncomingMessage | undefined;
  /** Came while an earlier request of the connection was served. */
  readonly waiting: { readonly req: IncomingMessage; readonly res: ServerResponse }[];
  /** A response has been sent, or its client has left. */
  readonly onDone: () => void;
}

/**
 * Gives each connection its share. One request of a connection is served at a time, so that pipelining is no way to more
 * of the gateway than a connection that waits. While more than `shedFrom` connections are open, each new one closes the
 * one that has been idle longest.
 */
export function serveInTurn(
  server: Server,
  listener: RequestListener,
  { shedFrom, report }: { readonly shedFrom: number; readonly report: ReportPressure },
) {
  const connections = new Map<Socket, Connection>();
  /** Connections without a request in hand, in the order in which they became idle. */
  const idle = new Set<Socket>();

  const serveNext = (socket: Socket, connection: Connection) => {
    const next = connection.waiting.shift();
    // After a response that ends the connection no other can be sent.
    if (!next || socket.destroyed || socket.writableEnded) return;
    connection.serving = next.req;
    next.res.on('close', connection.onDone);
    listener(next.req, next.res);
  };

  const open = (socket: Socket): Connection => {
    const connection: Connection = {
      serving: undefined,
      waiting: [],
      onDone: () => {
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

  server.on('connection', (socket) => {
    connections.set(socket, open(socket));
    idle.add(socket);
    socket.once('close', () => {
      connections.delete(socket);
      idle.delete(socket);
    });
    if (connections.size <= shedFrom) return;
    const [longest] = idle;
    if (!longest || longest === socket) return;
    report('an idle connection was closed to make room', undefined);
    idle.delete(longest);
    longest.destroy();
  });
  server.on('drop', () => {
    report('a new connection was dropped: too many are open', undefined);
  });

  const onRequest: RequestListener = (req, res) => {
    const { socket } = req;
    const connection = connections.get(socket);
    // Node goes on with what a socket has received in one piece, also after it was destroyed.
    if (!connection || socket.destroyed) return;
    if (!connection.serving) {
      connection.serving = req;
      idle.delete(socket);
      res.on('close', connection.onDone);
      listener(req, res);
    } else if (connection.waiting.length < UNANSWERED_MAX - 1) {
      connection.waiting.push({ req, res });
    } else {
      report('a connection was closed: too many requests without an answer', undefined);
      socket.destroy();
    }
  };

  return {
    /** For the requests of `server`. */
    onRequest,
    /** Whether a request that has come to its end has no response yet. */
    owesResponse: (socket: Socket): boolean => connections.get(socket)?.serving?.complete ?? false,
  };
}
