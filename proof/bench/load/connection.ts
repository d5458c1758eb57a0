import { connect } from 'node:net';
import { LOOPBACK } from '../../../platform/machine';

/** One answer: its status and the text of its body. */
export type OnAnswer = (status: number, body: string) => void;

export interface Connection {
  /** Posts a body to /buy. One request at a time: the next only after the answer. */
  readonly buy: (body: string, onAnswer: OnAnswer) => void;
  /** Whether a request has no answer yet. */
  readonly isWaiting: () => boolean;
  readonly close: () => void;
}

/**
 * A keep-alive connection that speaks just as much HTTP as the gateways here: requests in one piece, answers with a
 * content-length. The load generator shares two cores with what it measures, and this costs 14 µs of CPU a request
 * where autocannon 8 with a body of its own for each request took 34 to 40. `onEnd` is told when the connection has
 * ended, also when that was asked for.
 */
export function openConnection(
  port: number,
  { onOpen, onEnd }: { readonly onOpen: () => void; readonly onEnd: () => void },
): Connection {
  const onread = {
    buffer: READ_INTO,
    callback: (length: number) => {
      received += READ_INTO.toString('latin1', 0, length);
      takeAnswer();
      return true;
    },
  };
  const socket = connect({ port, host: LOOPBACK, noDelay: true, onread }, onOpen);
  let received = '';
  let waiting: OnAnswer | undefined;

  const takeAnswer = () => {
    const headEnd = received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const bodyFrom = headEnd + 4;
    const bodyTo = bodyFrom + contentLength(received, headEnd);
    if (received.length < bodyTo) return;
    const status = Number(received.slice(9, 12));
    const body = received.slice(bodyFrom, bodyTo);
    received = received.slice(bodyTo);
    const answered = waiting;
    waiting = undefined;
    answered?.(status, body);
  };
  // Every error is followed by `close`, which is where it is counted.
  socket.on('error', () => undefined);
  socket.on('close', onEnd);

  return {
    buy: (body, onAnswer) => {
      waiting = onAnswer;
      socket.write(`${HEAD}${Buffer.byteLength(body)}\r\n\r\n${body}`);
    },
    isWaiting: () => waiting !== undefined,
    close: () => {
      socket.destroy();
    },
  };
}

/** One for all connections: what was read is a text of its own before anything else is read. */
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
  if (!found) throw new Error(`An answer without a content-length: ${received.slice(0, headEnd)}`);
  return Number(found[1]);
}
