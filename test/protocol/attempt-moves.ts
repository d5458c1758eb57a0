import type { LedgerOf } from './model-ledger';
import {
  acceptAnew,
  canServe,
  inWorld,
  type Move,
  type OrderWorld,
  type SagaRule,
  type SeenClaim,
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
  /** An order may leave between the claim and the hold, which are in two slots. Its claim is marked before. */
  function lookAgain(order: OrderWorld, attempt: number): SeenClaim['kind'] | undefined {
    const { kind } = order.seen[attempt] ?? {};
    if (kind !== 'same' || off === 'claim-is-read-twice') return kind;
    return around.finished.has(order.request) ? 'finished' : kind;
  }

  /** The first attempt at an order, without a failure. */
  function accept(order: OrderWorld): Move {
    const { name } = order;
    return {
      name: `${name}0 is accepted`,
      apply: async () => {
        for (const next of ['claims', 'holds', 'appends', 'queues and answers']) {
          const move = movesOf(order).find((one) => one.name === `${name}0 ${next}`);
          await move?.apply();
        }
      },
    };
  }

  function movesOf(order: OrderWorld): Move[] {
    const ledger = ledgerOf(order.name);
    const isServed = canServe(around, order);
    const whenServed = (move: Move) => (isServed ? [move] : []);
    const claimedBy = around.claims.get(order.request) ?? order.name;
    return order.attempts.flatMap((state, i): Move[] => {
      const token = `${order.name}${String(i)}`;
      const become = (next: (typeof order.attempts)[number]) => {
        order.attempts[i] = next;
      };
      const hold = async () => {
        const held = await ledger.hold(order.name, token, ++around.clock);
        const { kind, orderId = '', acceptedAt = 0 } = held;
        const hasEntry = kind === 'exists' || kind === 'in-progress';
        const claim = hasEntry ? order.seen[i]?.kind : lookAgain(order, i);
        if (claim === 'finished' && kind !== 'exists') {
          // The buyer is told of the order that has left.
          become(kind === 'held' ? 'undoing' : 'over');
          return;
        }
        if (kind === 'held') {
          if (order.hasLeft) {
            const { kind: found, number } = order.seen[i] ?? {};
            if (found === 'same' && number === order.leftClaim)
              around.broken = `${order.name} was accepted again under the claim of what has left`;
            acceptAnew(order);
          }
          around.claims.set(order.request, order.name);
          order.orderIds[i] = orderId;
          order.acceptedAt.set(orderId, acceptedAt);
          order.mayBeInTheLog = true;
          order.toldRejected = false;
        } else if (kind === 'sold-out' && claim === 'new') {
          around.claims.delete(order.request);
          around.finished.delete(order.request);
        }
        become(AFTER_HOLD[kind]);
      };
      switch (state) {
        case 'new':
          if (i > 0 && order.attempts[i - 1] === 'new') return [];
          // Otherwise it is answered 503, or 422 while the id is another order's, and leaves nothing behind.
          if (!isServed || claimedBy !== order.name) return [];
          if (!around.ordersLeave) return [{ name: `${token} holds`, apply: hold }];
          return [
            inWorld(`${token} claims`, () => {
              const isNew = !around.claims.has(order.request);
              if (isNew) order.claimNumber++;
              const kind = around.finished.has(order.request) ? 'finished' : 'same';
              order.seen[i] = { kind: isNew ? 'new' : kind, number: order.claimNumber };
              around.claims.set(order.request, order.name);
              become('claimed');
            }),
          ];
        case 'claimed':
          return [
            ...whenServed({ name: `${token} holds`, apply: hold }),
            inWorld(`${token} dies claiming`, () => {
              become('over');
            }),
          ];
        case 'undoing':
          return [
            ...whenServed({
              name: `${token} undoes a second hold`,
              apply: async () => {
                await ledger.undo(order.name, token);
                become('over');
              },
            }),
            inWorld(`${token} dies with a second hold`, () => {
              become('over');
            }),
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
                // Once a claim is over, the request is a new purchase: nothing is said of what has left.
                const isOver = order.seen[i]?.kind === 'new' || order.leftClaim === undefined;
                const isAnother = order.hasLeft && isOver;
                const isTold = rejected === true || rejected === 'rejected';
                if (isTold && !isAnother) order.toldRejected = true;
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
  }

  return { of: movesOf, accept };
}
