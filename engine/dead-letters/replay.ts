import type { Order } from '../orders/order';
import type { MarkWriter, StoredDeadLetter } from '../kafka/dead-letters';
import type { SafeProducer } from '../kafka/safe-producer';
import type { OrderReplayer } from './doors/order-replayer';
import type { LetterFilter } from './letters';
import type { Operator } from './operator';
import { letterToMend, replayMended, type ReplayMendedDeps } from './replaying/replay-mended';
import {
  replayOrders,
  type ReplayOrdersDeps,
  type ReplayOrdersOptions,
} from './replaying/replay-orders';
import type { ReplayReport } from './replaying/replay-outcomes';
import { planReplay } from './replaying/replay-plan';

/** Opens something, hands it over and closes it again. Throws an OperatorFault when nobody answers. */
export type With<Door> = <T>(use: (door: Door) => Promise<T>) => Promise<T>;

export interface ReplayDeps extends Pick<ReplayOrdersDeps, 'now' | 'sleep'> {
  /** The newest letters that fit into memory. Throws an OperatorFault when Kafka does not deliver them. */
  readonly readLetters: () => Promise<readonly StoredDeadLetter[]>;
  readonly withReplayer: With<OrderReplayer>;
  readonly withMarks: With<MarkWriter>;
  /** The orders topic. */
  readonly withOrders: With<Pick<SafeProducer, 'append'>>;
  readonly claim: ReplayMendedDeps['claim'];
  /** Called after each order: what is done, of how many. */
  readonly onProgress?: (results: ReplayReport['results'], orders: number) => void;
}

export interface ReplayOptions extends Omit<ReplayOrdersOptions, 'readAt'> {
  /** request_ids or letter ids; none: every letter that fits the filter. */
  readonly ids: readonly string[];
  readonly filter: LetterFilter;
  readonly operator: Operator;
  /** Reads the mended record of the one letter that `ids` names. */
  readonly mended?: ((letter: StoredDeadLetter) => Promise<Order>) | undefined;
}

/**
 * Tries failed orders again, and says what became of each. It may be broken off and asked for again at any time: what has
 * been started is then found running or sold. Throws an OperatorFault.
 */
export async function replay(options: ReplayOptions, deps: ReplayDeps): Promise<ReplayReport> {
  const { ids, filter, mended, dryRun } = options;
  const readAt = deps.now();
  const letters = await deps.readLetters();
  if (mended) {
    const letter = letterToMend(letters, ids[0] ?? '', filter);
    const order = await mended(letter);
    const appended = await withDoors(deps, dryRun, (doors) =>
      deps.withOrders((orders) =>
        replayMended({ order, letter }, options, { ...deps, ...doors, orders }),
      ),
    );
    return { results: [appended], refused: [], left: 0 };
  }
  const { candidates, refused } = planReplay(letters, ids, filter);
  if (candidates.length === 0) return { results: [], refused, left: 0 };
  const onProgress = (results: ReplayReport['results']) =>
    deps.onProgress?.(results, candidates.length);
  const results = await withDoors(deps, dryRun, (doors) =>
    replayOrders(candidates, { ...options, readAt }, { ...deps, ...doors, onProgress }),
  );
  return { results, refused, left: candidates.length - results.length };
}

/** Temporal, and Kafka where something is going to be written. */
function withDoors<T>(
  { withReplayer, withMarks }: ReplayDeps,
  dryRun: boolean,
  use: (doors: { replayer: OrderReplayer; marks: MarkWriter }) => Promise<T>,
): Promise<T> {
  return withReplayer((replayer) =>
    dryRun ? use({ replayer, marks: NO_MARKS }) : withMarks((marks) => use({ replayer, marks })),
  );
}

const NO_MARKS: MarkWriter = {
  mark: () => Promise.reject(new Error('a dry run writes nothing')),
};
