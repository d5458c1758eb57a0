import type { ProtocolLedger } from './model-ledger';
import { inWorld, type Move, type OrderWorld, type SagaRule } from './world';

const AFTER_HOLD = {
  held: 'held',
  'sold-out': 'refused',
  exists: 'over',
  'in-progress': 'over',
} as const;

/** The next moves of the gateway's attempts at an order: each can crash on any line, and take over a hold. */
export function createAttemptMoves(ledger: ProtocolLedger, off: SagaRule | undefined) {
  return (order: OrderWorld): Move[] => {
    return order.attempts.flatMap((state, i): Move[] => {
      const token = `${order.name}${String(i)}`;
      const become = (next: (typeof order.attempts)[number]) => {
        order.attempts[i] = next;
      };
      switch (state) {
        case 'new':
          if (i > 0 && order.attempts[i - 1] === 'new') return [];
          return [
            {
              name: `${token} holds`,
              apply: async () => {
                const { kind, orderId = '' } = await ledger.hold(order.name, token);
                if (kind === 'held') {
                  order.orderIds[i] = orderId;
                  order.mayBeInTheLog = true;
                  order.toldRejected = false;
                }
                become(AFTER_HOLD[kind]);
              },
            },
          ];
        case 'held':
          return [
            {
              name: `${token} appends`,
              apply: () => {
                order.appended++;
                if (off === 'queue-before-answer') order.accepted = true;
                become('acked');
                return Promise.resolve();
              },
            },
            {
              name: `${token} undoes its hold`,
              apply: async () => {
                await ledger.undo(order.name, token);
                become('over');
              },
            },
            inWorld(`${token} dies holding`, () => {
              become('over');
            }),
          ];
        case 'acked':
          return [
            {
              name: `${token} queues and answers`,
              apply: async () => {
                const queued = await ledger.queue(order.name, order.orderIds[i] ?? '');
                if (queued) order.accepted = true;
                become('over');
              },
            },
            inWorld(`${token} dies after the ack`, () => {
              become('over');
            }),
          ];
        case 'refused':
          return [
            {
              name: `${token} says no`,
              apply: async () => {
                const rejected = !order.mayBeInTheLog || (await ledger.reject(order.name));
                if (rejected === true || rejected === 'rejected') order.toldRejected = true;
                become('over');
              },
            },
            inWorld(`${token} dies refused`, () => {
              become('over');
            }),
          ];
        case 'over':
          return [];
      }
    });
  };
}
