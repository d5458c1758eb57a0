import { openConnection, type Connection } from './connection';

/** After a broken connection: a server that drops all of them must not be stormed. */
const RECONNECT_MS = 20;

export interface KeepOpenOptions {
  readonly port: number;
  readonly connections: number;
  readonly onOpen: (connection: Connection) => void;
  /** A connection has ended; `wasWaiting`: a request of it has no answer. */
  readonly onEnd: (wasWaiting: boolean) => void;
  /** From then on none is opened again. */
  readonly isOver: () => boolean;
}

/** Keeps so many connections open, until it is over; answers those that are open, for whoever closes them. */
export function keepOpen(options: KeepOpenOptions): ReadonlySet<Connection> {
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
