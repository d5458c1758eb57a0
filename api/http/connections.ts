import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf } from './clients';
import type { ReportPressure } from './errors';
import { BODY_BYTES_MAX } from './limits';

/**
 * Requests of one connection that are not answered. A client that does not wait for responses is served all the same, if
 * one after the other. What it sends ahead has to be kept: its socket is not read meanwhile, so that is at most what Node
 * reads at once, 64 KiB.
 */
const UNANSWERED_MAX = 8;

/** Connections that may have requests waiting: with 64 KiB each, and an object for each request, some 50 MB. */
const WAITING_CONNECTIONS_MAX = 500;

/**
 * Between the last response of a connection and its end. When a socket closes that still has bytes to read, the kernel
 * resets it, and the reset can overtake the response.
 */
const LINGER_MS = 1_000;

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
  /** The response to something broken: nothing after it is read. Empty when it can have none. */
  last: string | undefined;
}

export interface ConnectionOptions {
  readonly shedFrom: number;
  readonly report: ReportPressure;
  /** Whether a connection carries the requests of many clients, so that no one of them is to hold up the others. */
  readonly isProxy?: ((connection: Pick<IncomingMessage, 'socket'>) => boolean) | undefined;
  /** Only tests change these. */
  readonly holdUpMs?: number | undefined;
  readonly waitingConnectionsMax?: number | undefined;
}

/**
 * Gives each connection its share. One request of a connection is served at a time, so that pipelining is no way to more
 * of the gateway than a connection that waits. While more than `shedFrom` connections are open, each new one closes the
 * one that has been idle longest.
 */
// eslint-disable-next-line max-lines-per-function -- all of it decides over the same three sets of connections
export function serveInTurn(
  server: Server,
  listener: RequestListener,
  {
    shedFrom,
    report,
    isProxy = () => false,
    holdUpMs = HOLD_UP_MS,
    waitingConnectionsMax = WAITING_CONNECTIONS_MAX,
  }: ConnectionOptions,
) {
  const penalties = createPenalties(report, holdUpMs);
  const connections = new Map<Socket, Connection>();
  /** Connections without a request in hand, in the order in which they became idle. */
  const idle = new Set<Socket>();
  /** Connections with requests that wait. */
  const pipelining = new Set<Socket>();

  const noneWaits = (socket: Socket, { last }: Connection) => {
    pipelining.delete(socket);
    if (last === undefined) readOn(socket);
  };

  const rest = (socket: Socket, connection: Connection) => {
    connection.serving = undefined;
    if (socket.destroyed) return;
    idle.add(socket);
    if (connection.last !== undefined) finish(socket, connection.last);
  };

  const serveNext = (socket: Socket, connection: Connection) => {
    const next = connection.waiting.shift();
    if (connection.waiting.length === 0) noneWaits(socket, connection);
    if (!next) {
      rest(socket, connection);
      return;
    }
    // After a response that ends the connection no other can be sent.
    if (socket.destroyed || socket.writableEnded) return;
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
        // In the next turn of the event loop: the requests of other connections come in between.
        if (connection.waiting.length > 0) setImmediate(serveNext, socket, connection);
        else rest(socket, connection);
      },
      last: undefined,
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
      pipelining.delete(socket);
    });
    penalties.apply(socket);
    if (connections.size > shedFrom) shedLongestIdle(socket);
  });
  server.on('drop', () => {
    report('a new connection was dropped: too many are open', undefined);
    // Those that were busy while the number grew may be idle by now.
    shedLongestIdle();
  });

  /** A body of unknown length may come in pieces of a byte, each of which takes some hundred: none of those waits. */
  const mayWait = (socket: Socket, { waiting }: Connection, { headers }: IncomingMessage) =>
    waiting.length < UNANSWERED_MAX - 1 &&
    headers['transfer-encoding'] === undefined &&
    Number(headers['content-length'] ?? 0) <= BODY_BYTES_MAX &&
    (pipelining.size < waitingConnectionsMax || pipelining.has(socket));

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
    } else if (mayWait(socket, connection, req)) {
      connection.waiting.push({ req, res });
      pipelining.add(socket);
      readNoMore(socket);
    } else {
      report('a connection was closed: too many requests without an answer', undefined);
      if (!isProxy(req)) penalties.add(socket.remoteAddress);
      socket.destroy();
    }
  };

  const onBroken = (socket: Socket, response: string) => {
    const connection = connections.get(socket);
    // Whatever follows something broken is reported as broken, too.
    if (!connection || connection.last !== undefined) return;
    readNoMore(socket);
    const { serving, waiting } = connection;
    if (!serving) {
      // It may be the body of a request that was answered without it.
      connection.last = socket.bytesWritten > 0 ? '' : response;
      finish(socket, connection.last);
    } else if (serving.req.complete) {
      connection.last = response;
      if (waiting.at(-1)?.req.complete === false) waiting.pop();
    } else if (serving.headersSent) {
      connection.last = '';
    } else {
      connection.last = response;
      finish(socket, response);
    }
  };

  return {
    /** For the requests of `server`. */
    onRequest,
    /**
     * For something broken on a connection, and `response` to it. The requests that came before it are answered first:
     * a purchase among them is carried out, and its buyer must learn of it.
     */
    onBroken,
  };
}

function readNoMore(socket: Socket): void {
  socket.off('resume', pauseAgain).on('resume', pauseAgain).pause();
}

function readOn(socket: Socket): void {
  socket.off('resume', pauseAgain).resume();
}

/** Node resumes a socket at the end of each message on it. */
function pauseAgain(this: Socket): void {
  this.pause();
}

function finish(socket: Socket, response: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(response);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => {
    clearTimeout(timer);
  });
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
