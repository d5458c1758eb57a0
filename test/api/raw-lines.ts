import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { purchase } from './raw-requests';

/** A connection of its own, and what has come over it so far. */
export interface Line {
  readonly socket: Socket;
  received: string;
  closed: boolean;
}

/** Dials a gateway past every HTTP client; `hangUp` ends what is open still. */
export function createDialer() {
  let sockets: Socket[] = [];
  return {
    /** `from` is an address of this machine: a client of its own. */
    dial: async ({ port }: { readonly port: number }, from = '127.0.0.1'): Promise<Line> => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: from });
      sockets.push(socket);
      const line: Line = { socket, received: '', closed: false };
      socket.setEncoding('utf8').on('data', (text: string) => {
        line.received += text;
      });
      socket.on('close', () => {
        line.closed = true;
      });
      // A connection that is dropped may be reset; `closed` tells of it.
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return line;
    },
    hangUp: () => {
      for (const socket of sockets) socket.destroy();
      sockets = [];
    },
  };
}

/** The beginning of a purchase, up to where its length has to stand. */
export const PURCHASE_HEAD = 'POST /buy HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

/** The bytes of a purchase. */
export function purchaseRequest(requestId: string): string {
  const body = purchase({ request_id: requestId });
  return `${PURCHASE_HEAD}content-length: ${body.length}\r\n\r\n${body}`;
}

/** The statuses of the answers among what has come. */
export function statusesIn(received: string): (string | undefined)[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]);
}
