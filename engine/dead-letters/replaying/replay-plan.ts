import type { FailureReason, Order } from '../../orders/order';
import type { StoredDeadLetter } from '../../kafka/dead-letters';
import { decodeOrder } from '../../orders/order-record';
import {
  dealtWith,
  isOpen,
  lastMark,
  lettersOf,
  selectLetters,
  type LetterFilter,
} from '../letters';

/** An order to try again. */
export interface Candidate {
  readonly order: Order;
  /** Its newest letter among those that were asked for: the bytes it is started from. */
  readonly letter: StoredDeadLetter;
  /** Every open letter of the order: one replay deals with all of them. */
  readonly covers: readonly StoredDeadLetter[];
}

/** A letter that cannot be tried again as it is. */
export interface Refused {
  readonly letter: StoredDeadLetter;
  readonly outcome: 'needs-mending' | 'other-order';
  readonly detail: string;
}

export interface ReplayPlan {
  /** Oldest first, one per order. */
  readonly candidates: readonly Candidate[];
  readonly refused: readonly Refused[];
}

/**
 * What a replay is about: the letters of `ids`, or all letters without them, that fit the filter. An order's letter that
 * was replayed already is looked at again when it is named, a discarded one only with `all`. Throws an OperatorFault
 * for an id that no letter has.
 */
export function planReplay(
  letters: readonly StoredDeadLetter[],
  ids: readonly string[],
  filter: LetterFilter,
): ReplayPlan {
  const wanted =
    ids.length === 0
      ? selectLetters(letters, filter)
      : selectLetters([...new Set(ids.flatMap((id) => named(letters, id, filter)))], {
          ...filter,
          all: true,
        });
  const candidates = new Map<string, Candidate>();
  const refused: Refused[] = [];
  for (const letter of wanted) {
    const read = readOrder(letter);
    if (read.kind === 'refused') refused.push(read.refused);
    else candidates.set(read.order.requestId, { order: read.order, letter, covers: [] });
  }
  const covers = openLettersOf(letters, candidates);
  const covered = [...candidates].map(([requestId, candidate]) => ({
    ...candidate,
    covers: covers.get(requestId) ?? [],
  }));
  return { candidates: covered, refused };
}

/** In one pass: there may be tens of thousands of letters, and as many orders. */
function openLettersOf(
  letters: readonly StoredDeadLetter[],
  wanted: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, readonly StoredDeadLetter[]> {
  const found = new Map<string, StoredDeadLetter[]>();
  for (const letter of letters) {
    const { requestId } = letter;
    if (requestId === undefined || !wanted.has(requestId) || !isOpen(letter)) continue;
    if (readOrder(letter).kind !== 'order') continue;
    const own = found.get(requestId);
    if (own) own.push(letter);
    else found.set(requestId, [letter]);
  }
  return found;
}

function named(
  letters: readonly StoredDeadLetter[],
  id: string,
  { all }: LetterFilter,
): readonly StoredDeadLetter[] {
  const found = lettersOf(letters, id);
  const allowed = found.filter((letter) => all === true || lastMark(letter)?.kind !== 'discarded');
  const mark = found.map(lastMark).findLast((last) => last !== undefined);
  if (allowed.length > 0 || mark === undefined) return allowed;
  throw dealtWith(id, mark);
}

/** The failures of orders: a start can end another way next time. */
const ORDER_FAILURES: readonly FailureReason[] = [
  ...(['payment-declined', 'payment-unknown', 'sold-out', 'sale-lost'] as const),
];

type ReadOrder =
  | { readonly kind: 'order'; readonly order: Order }
  | { readonly kind: 'refused'; readonly refused: Refused };

function readOrder(letter: StoredDeadLetter): ReadOrder {
  if (letter.reason === 'request-id-reused') {
    const detail = 'its request_id belongs to another order, for ever: discard it';
    return { kind: 'refused', refused: { letter, outcome: 'other-order', detail } };
  }
  const read = decodeOrder(letter.value);
  if (
    ORDER_FAILURES.includes(letter.reason) &&
    read.kind === 'order' &&
    read.order.requestId === letter.requestId
  ) {
    return { kind: 'order', order: read.order };
  }
  const problem = read.kind === 'order' ? letter.error : read.problem;
  const detail = `${problem}: it has to be mended or discarded`;
  return { kind: 'refused', refused: { letter, outcome: 'needs-mending', detail } };
}
