import type { LedgerOf } from './model-ledger';
import {
  canServe,
  inWorld,
  type Move,
  type OrderWorld,
  type SagaRule,
  type Surroundings,
} from './world';

/**
 * What the archiver does to an order that has ended: it archives its event, which may be late, marks its claim, and removes
 * it from the ledger. It may die in between, and the archive may be away.
 */
export function createLeaveMoves(
  ledgerOf: LedgerOf,
  around: Surroundings,
  off: SagaRule | undefined,
) {
  const { archive, claims, finished, left } = around;

  function mark(order: OrderWorld, orderId: string): void {
    const { name, request } = order;
    if (claims.get(request) === undefined && !order.oldIds.has(orderId)) {
      order.claimNumber++;
      claims.set(request, name);
    }
    if (claims.get(request) === name) finished.add(request);
  }

  /** The number of the claim that an order has now. */
  function claimOf({ name, request, claimNumber }: OrderWorld): number | undefined {
    return claims.get(request) === name ? claimNumber : undefined;
  }

  async function movesOf(order: OrderWorld): Promise<Move[]> {
    const { name, told, leaving } = order;
    const ledger = ledgerOf(name);
    const moves: Move[] = [];
    const [next] = told;
    if (next && !archive.isAway) {
      moves.push(
        inWorld(`the archive reads of ${name}`, () => {
          told.shift();
          archive.add(name, next.end, next.at);
        }),
      );
    }
    if (!canServe(around, order)) return moves;
    const end = order.mayTell ? await ledger.endOf(name) : undefined;
    if (end) {
      moves.push(
        inWorld(`an event tells of ${name}`, () => {
          order.mayTell = false;
          told.push({ end, at: ++around.clock });
        }),
      );
    }
    if (leaving) {
      moves.push(
        {
          name: `${name} leaves`,
          apply: async () => {
            order.leaving = undefined;
            const last = await ledger.endOf(name);
            if ((await ledger.archive(name, leaving.end)) !== 'removed' || !last) return;
            order.left.push(last);
            order.hasLeft = true;
            order.leftClaim = claimOf(order) === leaving.claim ? leaving.claim : undefined;
          },
        },
        inWorld(`the archiver dies before ${name} leaves`, () => {
          order.leaving = undefined;
        }),
      );
    } else if (left.leaves > 0 && !archive.isAway && !order.attempts.includes('refused')) {
      // It has ended long before it leaves: no response to a request from before that is under way.
      for (const one of archive.endsOf(name)) {
        if ((await ledger.archivable(name, one)) !== 'removed') continue;
        moves.push(
          inWorld(`the claim of ${name} is marked`, () => {
            left.leaves--;
            if (off !== 'claim-is-marked') mark(order, one.orderId);
            order.leaving = { end: one, claim: claimOf(order) };
          }),
        );
      }
    }
    return moves;
  }

  return async (orders: readonly OrderWorld[]): Promise<Move[]> => {
    if (!around.ordersLeave) return [];
    const moves: Move[] = [];
    for (const order of orders) moves.push(...(await movesOf(order)));
    if (archive.isAway) {
      moves.push(inWorld('the archive answers again', () => (archive.isAway = false)));
    } else if (left.archiveFaults > 0) {
      const away = inWorld('the archive is away', () => {
        left.archiveFaults--;
        archive.isAway = true;
      });
      moves.push({ ...away, optional: true });
    }
    return moves;
  };
}
