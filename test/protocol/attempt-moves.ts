import type { LedgerOf } from './model-ledger';
import {
  canServe,
  inWorld,
  type Move,
  type OrderWorld,
  type SagaRule,
  type Surroundings,
} from './world';

const AFTER_HOLD = {
  held: 'held',
  'sold-out': 'refused',
  exists: 'over',
  'in-progress': 'over',
} as const;

/** The next moves of the gateway's attempts at an order: each can crash on any line, and take over a hold. */
export function createAttemptMoves(
  ledgerOf: LedgerOf,
  around: Surroundings,
  off: SagaRule | undefined,
) {
  return (order: OrderWorld): Move[] => {
    const ledger = ledgerOf(order.name);
    const isServed = canServe(around, order);
    const whenServed = (move: Move) => (isServed ? [move] : []);
    const claimedBy = around.claims.get(order.request) ?? order.name;
    return order.attempts.flatMap((state, i): Move[] => {
      const token = `${order.name}${String(i)}`;
      const become = (next: (typeof order.attempts)[number]) => {
        order.attempts[i] = next;
      };
      switch (state) {
        case 'new':
          if (i > 0 && order.attempts[i - 1] === 'new') return [];
          // Otherwise it is answered 503, or 422 while the id is another order's, and leaves nothing behind.
          if (!isServed || claimedBy !== order.name) return [];
          return [
            {
              name: `${token} holds`,
              apply: async () => {
                const { kind, orderId = '' } = await ledger.hold(order.name, token);
                if (kind === 'held') {
                  around.claims.set(order.request, order.name);
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
                order.log.push({ orderId: order.orderIds[i] ?? '', revives: false });
                if (off === 'queue-before-answer') order.accepted = true;
                become('acked');
                return Promise.resolve();
              },
            },
            ...whenServed({
              name: `${token} undoes its hold`,
              apply: async () => {
                await ledger.undo(order.name, token);
                become('over');
              },
            }),
            inWorld(`${token} dies holding`, () => {
              become('over');
            }),
          ];
        case 'acked':
          return [
            ...whenServed({
              name: `${token} queues and answers`,
              apply: async () => {
                const queued = await ledger.queue(order.name, order.orderIds[i] ?? '');
                if (queued) order.accepted = true;
                become('over');
              },
            }),
            inWorld(`${token} dies after the ack`, () => {
              become('over');
            }),
          ];
        case 'refused':
          return [
            ...whenServed({
              name: `${token} says no`,
              apply: async () => {
                const rejected = !order.mayBeInTheLog || (await ledger.reject(order.name));
                if (rejected === true || rejected === 'rejected') order.toldRejected = true;
                become('over');
              },
            }),
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
