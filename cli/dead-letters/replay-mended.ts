import type { Order } from '../../domain/order';
import type { StoredDeadLetter } from '../../orderlog/dead-letters';
import { encodeOrder } from '../../orderlog/order-record';
import type { SafeProducer } from '../../orderlog/safe-producer';
import { NegativeAnswer, PlainFault } from '../plain-fault';
import { isOpen, lastMark, lettersOf, timeOf } from './letters';
import { planReplay } from './replay-plan';
import type {
  Operator,
  ReplayOrdersDeps,
  ReplayOrdersOptions,
  ReplayOutcome,
  ReplayResult,
} from './replay-orders';

/**
 * The letter that a mended record is for. Throws a NegativeAnswer when there is none or it has been dealt with, a
 * PlainFault when it needs no mending.
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
    throw new PlainFault(
      `${id} is no record that could be mended: only an unreadable one takes --mended. Nothing was changed.`,
    );
  }
  throw new NegativeAnswer(
    `${id} was ${mark.kind} by ${mark.by} at ${timeOf(mark.at) ?? 'an unknown time'} (${mark.why}); --all replays it all the same. Nothing was changed.`,
  );
}

export interface ReplayMendedDeps extends Pick<ReplayOrdersDeps, 'replayer' | 'marks' | 'now'> {
  /** Of the orders topic. */
  readonly orders: Pick<SafeProducer, 'append'>;
  /** Makes the order's id its own, as the gateway does; false when it is another request's. Throws a PlainFault. */
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
