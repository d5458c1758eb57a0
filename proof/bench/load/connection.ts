import { connect } from 'node:net';
import { LOOPBACK } from '../../../platform/machine';

/** Status and text of the body. */
export type OnResponse = (status: number, body: string) => void;

export interface Connection {
  /** Posts a body to /buy. One request at a time: the next only after the response. */
  readonly buy: (body: string, onResponse: OnResponse, token?: string) => void;
  /** Whether a request has no response yet. */
  readonly isWaiting: () => boolean;
  readonly close: () => void;
}

/** The pause after a broken connection: a server that drops all of them must not be flooded. */
const RECONNECT_MS = 20;

/** Keeps `connections` open until `isOver`. Returns those that are open, for the caller to close. */
export function keepOpen(options: {
  readonly port: number;
  readonly connections: number;
  readonly onOpen: (connection: Connection) => void;
  /** A connection has ended; `wasWaiting`: a request of it has no response. */
  readonly onEnd: (wasWaiting: boolean) => void;
  /** From then on none is opened again. */
  readonly isOver: () => boolean;
}): ReadonlySet<Connection> {
  const { port, connections, onOpen, onEnd, isOver } = options;
  const open = new Set<Connection>();
  const connectOne = () => {
    if (isOver()) return;
    const connection = openConnection(port, {
      onOpen: () => {
        onOpen(connection);
      },
      onEnd: () => {
        open.delete(connection);
        onEnd(connection.isWaiting());
        if (!isOver()) setTimeout(connectOne, RECONNECT_MS);
      },
    });
    open.add(connection);
  };
  for (let i = 0; i < connections; i++) connectOne();
  return open;
}

/**
 * A keep-alive connection that speaks just as much HTTP as the gateways here: requests in one piece, responses with a
 * content-length. The load generator shares two cores with what it measures: this costs 14 µs of CPU a request, where
 * autocannon 8 with a body of its own for each request took 34 to 40. `onEnd` is called when the connection has ended,
 * also after `close`.
 */
function openConnection(
  port: number,
  { onOpen, onEnd }: { readonly onOpen: () => void; readonly onEnd: () => void },
): Connection {
  const onread = {
    buffer: READ_INTO,
    callback: (length: number) => {
      received += READ_INTO.toString('latin1', 0, length);
      takeResponse();
      return true;
    },
  };
  const socket = connect({ port, host: LOOPBACK, noDelay: true, onread }, onOpen);
  let received = '';
  let waiting: OnResponse | undefined;

  const takeResponse = () => {
    const headEnd = received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const bodyFrom = headEnd + 4;
    const bodyTo = bodyFrom + contentLength(received, headEnd);
    if (received.length < bodyTo) return;
    const status = Number(received.slice(9, 12));
    const body = received.slice(bodyFrom, bodyTo);
    received = received.slice(bodyTo);
    const onResponse = waiting;
    waiting = undefined;
    onResponse?.(status, body);
  };
  // Every error is followed by `close`, where it is counted.
  socket.on('error', () => undefined);
  socket.on('close', onEnd);

  return {
    buy: (body, onResponse, token) => {
      waiting = onResponse;
      const authorization = token === undefined ? '' : `\r\nauthorization: Bearer ${token}`;
      socket.write(`${HEAD}${Buffer.byteLength(body)}${authorization}\r\n\r\n${body}`);
    },
    isWaiting: () => waiting !== undefined,
    close: () => {
      socket.destroy();
    },
  };
}

/** One for all connections: what was read is copied into a string before anything else is read. */
const READ_INTO = Buffer.alloc(64 * 1024);

const HEAD = [
  'POST /buy HTTP/1.1',
  `host: ${LOOPBACK}`,
  'content-type: application/json',
  'content-length: ',
].join('\r\n');

const CONTENT_LENGTH = /\r\ncontent-length: (\d+)/i;

function contentLength(received: string, headEnd: number): number {
  const found = CONTENT_LENGTH.exec(received.slice(0, headEnd));
  if (!found) throw new Error(`A response without a content-length: ${received.slice(0, headEnd)}`);
  return Number(found[1]);
}
