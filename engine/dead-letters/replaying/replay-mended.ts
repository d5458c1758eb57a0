import type { Order } from '../../orders/order';
import type { StoredDeadLetter } from '../../kafka/dead-letters';
import { encodeOrder } from '../../orders/order-record';
import type { SafeProducer } from '../../kafka/safe-producer';
import { dealtWith, isOpen, lastMark, lettersOf } from '../letters';
import type { Operator } from '../operator';
import { OperatorFault } from '../operator-error';
import { planReplay } from './replay-plan';
import type { ReplayOrdersDeps, ReplayOrdersOptions } from './replay-orders';
import type { ReplayOutcome, ReplayResult } from './replay-outcomes';

/**
 * The letter that a mended record is for. Throws an OperatorFault when there is none, it has been dealt with, or
 * it needs no mending.
 */
export function letterToMend(
  letters: readonly StoredDeadLetter[],
  id: string,
  { all }: { readonly all?: boolean | undefined },
): StoredDeadLetter {
  const own = lettersOf(letters, id);
  const { refused } = planReplay(own, [], { all: true });
  const broken = refused.filter(({ outcome }) => outcome === 'needs-mending');
  const letter = broken.findLast((one) => all === true || isOpen(one.letter))?.letter;
  if (letter) return letter;
  const mark = broken.map((one) => lastMark(one.letter)).findLast((last) => last !== undefined);
  if (!mark) {
    throw new OperatorFault(
      'invalid',
      `${id} is no record that could be mended: only an unreadable one is. Nothing was changed.`,
    );
  }
  throw dealtWith(id, mark);
}

export interface ReplayMendedDeps extends Pick<ReplayOrdersDeps, 'replayer' | 'marks' | 'now'> {
  /** Of the orders topic. */
  readonly orders: Pick<SafeProducer, 'append'>;
  /** Makes the order's id its own, as the gateway does; false when it is another request's. */
  readonly claim: (order: Order) => Promise<boolean>;
}

/**
 * Appends a mended record to the orders, so that it takes the ordinary way: its units were never held or are free again,
 * and its workflow reserves them afresh. Nothing is appended for an id that is an order already.
 */
export async function replayMended(
  { order, letter }: { readonly order: Order; readonly letter: StoredDeadLetter },
  { operator, dryRun }: Pick<ReplayOrdersOptions, 'dryRun'> & { readonly operator: Operator },
  { replayer, marks, orders, claim, now }: ReplayMendedDeps,
): Promise<ReplayResult> {
  const { requestId } = order;
  const result = (outcome: ReplayOutcome) => ({ requestId, letterId: letter.id, outcome });
  const standing = await replayer.look(order);
  switch (standing.kind) {
    case 'none':
      break;
    // Ingest takes a record for an order that has been started before for a repetition, whatever became of it.
    case 'failed':
      return result('failed-before');
    case 'sold':
      if (!dryRun) await marks.mark(letter, { kind: 'sold', ...operator, at: now() });
      return result('sold');
    case 'running':
    case 'cancelled':
    case 'other-order':
      return result(standing.kind);
  }
  if (dryRun) return result('would-append');
  if (!(await claim(order))) return result('other-order');
  const headers = { 'mended-from': letter.id, ...operator };
  await orders.append({ key: requestId, value: encodeOrder(order), headers });
  await marks.mark(letter, { kind: 'replayed', ...operator, at: now() });
  return result('appended');
}
