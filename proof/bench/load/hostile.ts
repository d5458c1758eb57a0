import { connect, type Socket } from 'node:net';
import { LOOPBACK } from '../../../platform/machine';

/** What a client does that wants the gateway for itself. */
export type Attack = 'pipelining' | 'idle connections' | 'slow bodies' | 'event streams';

export interface HostilePlan {
  readonly port: number;
  readonly attack: Attack;
  /** An order to follow. */
  readonly requestId: string;
  readonly ms: number;
}

export interface HostileResult {
  readonly opened: number;
  /** Connections that the other side has closed. */
  readonly closed: number;
}

/**
 * Other clients than the honest ones. Only Linux has these addresses without being told. An attack on which limits by client
 * have no bearing uses all of them: beyond some 3,500 connections of one address, Linux takes milliseconds to find each a
 * port, and the attacker does not get to open them.
 */
const ADDRESSES =
  process.platform === 'linux'
    ? Array.from({ length: 16 }, (_, i) => `127.0.0.${i + 2}`)
    : [LOOPBACK];

/** Opened so many at a time: beyond the queue of a listener, attempts are repeated after seconds. */
const SLICE = 100;
const SLICE_MS = 25;

/** Carries out one attack until its time is over. Each connection that is closed is opened again. */
export async function runHostile(plan: HostilePlan): Promise<HostileResult> {
  const { connections, reopenMs, addresses, act } = ATTACKS[plan.attack];
  const open = new Set<Socket>();
  let [tried, opened, closed, isOver] = [0, 0, 0, false];

  const openOne = () => {
    if (isOver) return;
    const localAddress = ADDRESSES[tried++ % Math.min(addresses, ADDRESSES.length)] ?? LOOPBACK;
    const socket = connect({ port: plan.port, host: LOOPBACK, localAddress }, () => {
      opened += 1;
      act(socket, plan);
    });
    open.add(socket);
    socket.on('error', () => undefined).resume();
    socket.on('close', () => {
      open.delete(socket);
      if (isOver) return;
      closed += 1;
      setTimeout(openOne, reopenMs);
    });
  };
  let toOpen = connections;
  const slices = setInterval(() => {
    for (let i = 0; i < SLICE && toOpen > 0; i++, toOpen--) openOne();
  }, SLICE_MS);

  await new Promise((resolve) => setTimeout(resolve, plan.ms));
  isOver = true;
  clearInterval(slices);
  // Without the minute in which a closed connection keeps its port from the next run.
  for (const socket of open) socket.resetAndDestroy();
  return { opened, closed };
}

const BODY = '{"user_id":"u-1","item_id":"101","amount":0,"request_id":"req-0123456789ab-1"}';
const HEAD = 'POST /buy HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ';
const REFUSED_PURCHASES = Buffer.from(`${HEAD}${BODY.length}\r\n\r\n${BODY}`.repeat(300));

const ATTACKS: Readonly<
  Record<
    Attack,
    {
      readonly connections: number;
      readonly reopenMs: number;
      /** From so many of its addresses. */
      readonly addresses: number;
      readonly act: (socket: Socket, plan: HostilePlan) => void;
    }
  >
> = {
  pipelining: {
    connections: 16,
    reopenMs: 1,
    addresses: 1,
    act: (socket) => {
      const send = () => socket.write(REFUSED_PURCHASES);
      socket.on('drain', send);
      send();
    },
  },
  'idle connections': {
    connections: 10_000,
    reopenMs: 1_000,
    addresses: 16,
    // A connection that has sent nothing would be closed after some seconds.
    act: (socket) => socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n'),
  },
  'slow bodies': {
    connections: 2_000,
    reopenMs: 100,
    addresses: 1,
    act: (socket) => {
      socket.write(`${HEAD}200\r\n\r\n{`);
      const drip = setInterval(() => socket.write(' '), 1_000);
      socket.on('close', () => {
        clearInterval(drip);
      });
    },
  },
  'event streams': {
    connections: 3_000,
    reopenMs: 100,
    addresses: 1,
    act: (socket, { requestId }) => {
      const ask = () => socket.write(`GET /orders/${requestId}/events HTTP/1.1\r\nhost: x\r\n\r\n`);
      // A refusal is asked for again at once.
      socket.on('data', (data) => {
        if (data.subarray(0, 12).toString() === 'HTTP/1.1 503') ask();
      });
      ask();
    },
  },
};
