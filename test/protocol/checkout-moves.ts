import type { Generation, LedgerOf } from './model-ledger';
import type { Payment, SagaModel } from './saga-model';
import {
  canServe,
  inWorld,
  type Move,
  type OrderWorld,
  type SagaRule,
  type Surroundings,
} from './world';

/** What happens around the payments of one order whose buyer pays. */
interface Checkout {
  /** How often its buyer has looked at it. */
  looks: number;
  /** Payments that a gateway is about to open: it has read the ledger. */
  readonly opening: Generation[];
  /** Hints of the provider on their way. The reader of its events makes sure that each comes, however late. */
  readonly hints: Generation[];
  /** Hints that may come twice, and hints of nothing. */
  doubles: number;
  falseHints: number;
  /** The times that a bank thinks. */
  thoughts: number;
  /** Payments whose time is over. */
  readonly overdue: Set<string>;
  /** Payments without a run that waits for them, to be given back. */
  readonly lateRefunds: Generation[];
}

const LOOKS_MAX = 2;

/**
 * Payments that buyers make: the page that a gateway opens, the buyer who pays, walks away or has a bank that thinks, the
 * hints of the provider, late, doubled or of nothing, and the deadline. The run itself only waits, asks and ends.
 */
export function createCheckoutMoves(
  ledgerOf: LedgerOf,
  around: Surroundings,
  { saga, off }: { readonly saga: SagaModel; readonly off: SagaRule | undefined },
) {
  const checkouts = new Map<string, Checkout>();

  function checkoutOf({ name }: OrderWorld): Checkout {
    const checkout = checkouts.get(name) ?? {
      looks: 0,
      opening: [],
      hints: [],
      doubles: 1,
      falseHints: 1,
      thoughts: 1,
      overdue: new Set(),
      lateRefunds: [],
    };
    checkouts.set(name, checkout);
    return checkout;
  }

  const entryOf = async ({ name }: OrderWorld) => (await ledgerOf(name).look()).entries[name];

  /** The gateway reads the ledger, and then opens the payment, which may come after everything else. */
  async function pageMoves(order: OrderWorld, checkout: Checkout): Promise<Move[]> {
    const { opening, hints, overdue } = checkout;
    const moves = opening.map((payment, i) =>
      inWorld(`the page of ${titleOf(payment)} opens`, () => {
        opening.splice(i, 1);
        if (saga.openPage(payment, order).status === 'captured') hints.push(payment);
      }),
    );
    const entry = canServe(around, order) ? await entryOf(order) : undefined;
    if (entry?.state !== 'reserved' || entry.cancelled || overdue.has(titleOf(entry))) return moves;
    const { orderId, generation } = entry;
    if (checkout.looks < LOOKS_MAX) {
      moves.push(
        optional(`the buyer of ${titleOf(entry)} looks`, () => {
          checkout.looks++;
          opening.push({ orderId, generation });
        }),
      );
    }
    return moves;
  }

  function buyerMoves({ name }: OrderWorld, checkout: Checkout): Move[] {
    const { hints } = checkout;
    const becomes = (payment: Payment, status: Payment['status']) => () => {
      payment.status = status;
      if (status === 'captured') hints.push(payment);
      if (status === 'undecided') checkout.thoughts--;
    };
    return [...saga.payments.values()].flatMap((payment): Move[] => {
      const title = titleOf(payment);
      if (payment.by !== name) return [];
      if (payment.status === 'undecided') {
        return [
          inWorld(`the bank pays ${title}`, becomes(payment, 'captured')),
          inWorld(`the bank refuses ${title}`, becomes(payment, 'open')),
        ];
      }
      if (payment.status !== 'open') return [];
      const pays = optional(`the buyer pays ${title}`, becomes(payment, 'captured'));
      if (checkout.thoughts === 0) return [pays];
      return [pays, optional(`the bank thinks about ${title}`, becomes(payment, 'undecided'))];
    });
  }

  /** Nothing is believed: the run that waits is told to ask, and of a payment that nobody waits for the ledger is asked. */
  async function handle(order: OrderWorld, checkout: Checkout, hint: Generation): Promise<void> {
    const entry = await entryOf(order);
    const isIts = entry?.orderId === hint.orderId && entry.generation === hint.generation;
    if (isIts && entry.state === 'sold') return;
    if (isIts && entry.state === 'reserved') order.run?.hinted.add(hint.generation);
    else checkout.lateRefunds.push({ orderId: hint.orderId, generation: hint.generation });
  }

  async function hintMoves(order: OrderWorld, checkout: Checkout): Promise<Move[]> {
    if (!canServe(around, order)) return [];
    const { hints, lateRefunds } = checkout;
    const moves = hints.flatMap((hint, i): Move[] => {
      const read = {
        name: `a hint of ${titleOf(hint)} is read`,
        apply: () => {
          hints.splice(i, 1);
          return handle(order, checkout, hint);
        },
      };
      if (checkout.doubles === 0) return [read];
      const twice = {
        name: `${read.name}, not for the last time`,
        apply: () => {
          checkout.doubles--;
          return handle(order, checkout, hint);
        },
        optional: true,
      };
      return [read, twice];
    });
    const entry = await entryOf(order);
    if (entry && entry.generation > 0 && checkout.falseHints > 0) {
      const { orderId, generation } = entry;
      moves.push(
        optional(`a false hint of ${titleOf(entry)} comes`, () => {
          checkout.falseHints--;
          hints.push({ orderId, generation });
        }),
      );
    }
    for (const [i, payment] of lateRefunds.entries()) {
      if (statusOf(order, payment) === 'undecided') continue;
      moves.push({
        name: `the late payment of ${titleOf(payment)} is given back`,
        apply: async () => {
          lateRefunds.splice(i, 1);
          const call = { order: order.name, runNumber: 0, ...payment };
          await saga.refund(call, order);
        },
      });
    }
    return moves;
  }

  const statusOf = ({ name }: OrderWorld, { orderId, generation }: Generation) =>
    [...saga.payments.values()].find(
      (one) => one.by === name && one.orderId === orderId && one.generation === generation,
    )?.status;

  function runMoves(order: OrderWorld, { overdue }: Checkout): Move[] {
    const { name, run } = order;
    if (!run) return [];
    const title = `${name}.${String(run.number)}`;
    if (run.step === 'undecided' && statusOf(order, run) !== 'undecided') {
      return [inWorld(`${title} ends its payment again`, () => (run.step = 'end'))];
    }
    if (run.step !== 'wait') return [];
    const moves: Move[] = [];
    if (run.hinted.has(run.generation)) {
      moves.push(
        inWorld(`${title} hears of its payment`, () => {
          run.hinted.delete(run.generation);
          run.step = off === 'hint-is-no-proof' ? 'confirm' : 'find';
        }),
      );
    }
    const isOver = overdue.has(titleOf(run));
    moves.push(
      inWorld(isOver ? `${title} ends its payment` : `the time of ${titleOf(run)} ends`, () => {
        if (isOver) saga.endPayment(run, 'deadline');
        else overdue.add(titleOf(run));
      }),
    );
    return moves;
  }

  return async (order: OrderWorld): Promise<Move[]> => {
    if (!order.pays) return [];
    const checkout = checkoutOf(order);
    const moves = [...(await pageMoves(order, checkout)), ...(await hintMoves(order, checkout))];
    return [...moves, ...buyerMoves(order, checkout), ...runMoves(order, checkout)];
  };
}

function titleOf({ orderId, generation }: Generation): string {
  return `${orderId} g${String(generation)}`;
}

function optional(name: string, change: () => void): Move {
  return { ...inWorld(name, change), optional: true };
}
