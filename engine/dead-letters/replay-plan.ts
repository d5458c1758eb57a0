import type { Order } from '../orders/order';
import type { StoredDeadLetter } from '../kafka/dead-letters';
import { fingerprint, decodeOrder, type DecodedOrder } from '../orders/order-record';
import {
  dealtWith,
  isOpen,
  lastMark,
  lettersOf,
  RETRYABLE,
  selectLetters,
  type LetterFilter,
} from './letters';
import { OperatorError } from './operator';

/** An order to start again. */
export interface Candidate {
  readonly order: Order;
  /** The newest selected letter of the order; the run is started from its bytes. */
  readonly letter: StoredDeadLetter;
  /** Every open letter of the order: one replay marks them all. */
  readonly openLetters: readonly StoredDeadLetter[];
}

/** A letter that cannot be replayed as it is. */
export interface RefusedLetter {
  readonly letter: StoredDeadLetter;
  readonly outcome: 'needs-mending' | 'other-order';
  readonly detail: string;
}

/**
 * What to replay: the letters of `ids`, or without ids all letters that match the filter; one candidate per order, oldest
 * first. A letter that was replayed before is included when an id names it, a discarded one only with `all`. Throws an
 * OperatorError for an id without a letter.
 */
export function planReplay(
  letters: readonly StoredDeadLetter[],
  ids: readonly string[],
  filter: LetterFilter,
): { readonly candidates: readonly Candidate[]; readonly refused: readonly RefusedLetter[] } {
  const selected =
    ids.length === 0
      ? selectLetters(letters, filter)
      : selectLetters([...new Set(ids.flatMap((id) => lettersToReplay(letters, id, filter)))], {
          ...filter,
          all: true,
        });
  const candidates = new Map<string, Candidate & { openLetters: StoredDeadLetter[] }>();
  const refused: RefusedLetter[] = [];
  for (const letter of selected) {
    const read = readOrder(letter);
    if ('detail' in read) refused.push({ letter, ...read });
    else candidates.set(read.requestId, { order: read, letter, openLetters: [] });
  }
  // In one pass: there may be tens of thousands of letters and as many orders.
  for (const letter of letters) {
    const candidate = candidates.get(letter.requestId ?? '');
    if (candidate && isOpen(letter) && !('detail' in readOrder(letter))) {
      candidate.openLetters.push(letter);
    }
  }
  return { candidates: [...candidates.values()], refused };
}

function lettersToReplay(
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

/** The order in a letter's bytes, or why the letter cannot be replayed. */
function readOrder(letter: StoredDeadLetter): Order | Omit<RefusedLetter, 'letter'> {
  if (letter.reason === 'request-id-reused') {
    const detail = 'its request_id belongs to another order: discard it';
    return { outcome: 'other-order', detail };
  }
  const decoded = decodeOrder(letter.value);
  const isRetryable =
    RETRYABLE.includes(letter.reason) &&
    decoded.kind === 'order' &&
    decoded.order.requestId === letter.requestId;
  if (isRetryable) return decoded.order;
  const problem = decoded.kind === 'order' ? letter.error : decoded.problem;
  return { outcome: 'needs-mending', detail: `${problem}: mend or discard it` };
}

/**
 * The unreadable letter that a mended record replaces. Throws an OperatorError when there is none, it was replayed or
 * discarded before, or it needs no mending.
 */
export function letterToMend(
  letters: readonly StoredDeadLetter[],
  id: string,
  { all }: LetterFilter,
): StoredDeadLetter {
  const { refused } = planReplay(lettersOf(letters, id), [], { all: true });
  const broken = refused
    .filter(({ outcome }) => outcome === 'needs-mending')
    .map(({ letter }) => letter);
  const letter = broken.findLast((one) => all === true || isOpen(one));
  if (letter) return letter;
  const mark = broken.map(lastMark).findLast((last) => last !== undefined);
  if (mark) throw dealtWith(id, mark);
  throw new OperatorError(
    'invalid',
    `${id} has no record that needs mending: only an unreadable one does. Nothing was changed.`,
  );
}

/**
 * Parses a mended record as ingest parses a record, and adds the fingerprint when it is absent. Throws an OperatorError
 * that calls the bytes `name` when they are not an order or are another order than the letter's.
 */
export function parseMendedOrder(bytes: Buffer, letter: StoredDeadLetter, name: string): Order {
  const decoded = decodeWithFingerprint(bytes);
  if (decoded.kind === 'invalid') {
    const hint = decoded.problem.startsWith('/fingerprint')
      ? ' (leave it out: it is then computed)'
      : '';
    const message = `${name} is no order: ${decoded.problem}${hint}. Nothing was changed.`;
    throw new OperatorError('invalid', message);
  }
  const { order } = decoded;
  if (letter.requestId !== undefined && order.requestId !== letter.requestId) {
    throw new OperatorError(
      'invalid',
      `${name} is the order ${order.requestId}, but the letter ${letter.id} is about ${letter.requestId}. Nothing was changed.`,
    );
  }
  return order;
}

function decodeWithFingerprint(bytes: Buffer): DecodedOrder {
  const decoded = decodeOrder(bytes);
  if (decoded.kind === 'order' || !decoded.problem.startsWith('/fingerprint')) return decoded;
  // The fingerprint is checked last, so the bytes are JSON and the other fields are valid.
  const record = JSON.parse(bytes.toString('utf8')) as Readonly<Record<string, unknown>>;
  if ('fingerprint' in record) return decoded;
  const { user_id: userId, item_id: itemId, amount } = record;
  const computed = fingerprint({ userId, itemId, amount } as Parameters<typeof fingerprint>[0]);
  return decodeOrder(Buffer.from(JSON.stringify({ ...record, fingerprint: computed })));
}
