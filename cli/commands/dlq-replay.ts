import type { MarkWriter } from '../../orderlog/dead-letters';
import type { SafeProducer } from '../../orderlog/safe-producer';
import type { LetterFilter } from '../dead-letters/letters';
import { readMendedOrder } from '../dead-letters/mended-order';
import type { OrderReplayer } from '../dead-letters/order-replayer';
import { letterToMend, replayMended, type ReplayMendedDeps } from '../dead-letters/replay-mended';
import {
  replayOrders,
  type ReplayOrdersDeps,
  type ReplayOrdersOptions,
  type ReplayResult,
} from '../dead-letters/replay-orders';
import { planReplay } from '../dead-letters/replay-plan';
import { printReplay, type ReplayReport } from '../dead-letters/replay-text';
import { reasonGiven } from '../dead-letters/why';
import type { ExitCode } from '../output/terminal';
import { PlainFault } from '../plain-fault';
import type { DlqReadDeps } from './dlq-ls';

/** Opens something, hands it over and closes it again. Throws a PlainFault when nobody answers. */
export type With<Door> = <T>(use: (door: Door) => Promise<T>) => Promise<T>;

export interface DlqReplayDeps extends DlqReadDeps, Pick<ReplayOrdersDeps, 'now' | 'sleep'> {
  readonly withReplayer: With<OrderReplayer>;
  readonly withMarks: With<MarkWriter>;
  /** The orders topic. */
  readonly withOrders: With<Pick<SafeProducer, 'append'>>;
  readonly claim: ReplayMendedDeps['claim'];
  /** Who is at the terminal. */
  readonly by: string;
  /** Whether somebody watches standard error. */
  readonly isWatched: boolean;
}

export interface DlqReplayOptions extends LetterFilter {
  /** request_ids or letter ids; none: every letter that fits the filter. */
  readonly ids: readonly string[];
  /** Starts at most; absent: all. */
  readonly max?: number | undefined;
  /** Starts a second. */
  readonly rate: number;
  readonly dryRun?: boolean | undefined;
  readonly why?: string | undefined;
  /** A file with the mended record of the one letter that `ids` names. */
  readonly mended?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * `flash-sale dlq replay`: tries failed orders again. 0 when every order that was named is started, runs or is sold; 1
 * when one of them cannot be tried as it is. Without names, letters that cannot be tried are only counted.
 */
export async function dlqReplay(deps: DlqReplayDeps, options: DlqReplayOptions): Promise<ExitCode> {
  const { ids, mended, dryRun = false, json, max = Infinity, rate, ...rest } = options;
  const { why, ...filter } = rest;
  const operator = { by: deps.by, why: dryRun ? (why ?? '') : reasonGiven(why, deps.by) };
  if (mended !== undefined && ids.length !== 1) {
    throw new PlainFault('--mended takes exactly one request_id or letter id.');
  }
  const readAt = deps.now();
  const letters = await deps.readLetters();
  const replay = { operator, dryRun, rate, max, readAt };
  const report = await (async (): Promise<ReplayReport> => {
    if (mended !== undefined) {
      const letter = letterToMend(letters, ids[0] ?? '', filter);
      const order = await readMendedOrder(mended, letter);
      const appended = await withDoors(deps, dryRun, (doors) =>
        deps.withOrders((orders) =>
          replayMended({ order, letter }, replay, { ...deps, ...doors, orders }),
        ),
      );
      return { results: [appended], refused: [], left: 0 };
    }
    const { candidates, refused } = planReplay(letters, ids, filter);
    const results = await replayAll(candidates, replay, deps, json === true);
    return { results, refused, left: candidates.length - results.length };
  })();
  printReplay(deps.terminal, report, { json: json === true, named: ids.length > 0 });
  const isDone = ({ outcome }: ReplayResult) => DONE.includes(outcome);
  const allDone = report.results.every(isDone) && report.refused.length === 0;
  return ids.length > 0 && !allDone ? 1 : 0;
}

const DONE: readonly ReplayResult['outcome'][] = [
  ...(['started', 'would-start', 'appended', 'would-append', 'running', 'sold'] as const),
];

async function replayAll(
  candidates: Parameters<typeof replayOrders>[0],
  replay: ReplayOrdersOptions,
  deps: DlqReplayDeps,
  json: boolean,
): Promise<readonly ReplayResult[]> {
  if (candidates.length === 0) return [];
  const { terminal, isWatched } = deps;
  const onProgress = (results: readonly ReplayResult[]) => {
    if (!isWatched || json) return;
    const started = results.filter(({ outcome }) => outcome === 'started').length;
    // One line that writes itself anew; the spaces wipe what is left of a longer one.
    terminal.err(`\r${results.length} of ${candidates.length}, ${started} started  `);
  };
  try {
    return await withDoors(deps, replay.dryRun, (doors) =>
      replayOrders(candidates, replay, { ...deps, ...doors, onProgress }),
    );
  } finally {
    if (isWatched && !json) terminal.err('\n');
  }
}

/** Temporal, and Kafka where something is going to be written. */
function withDoors<T>(
  { withReplayer, withMarks }: DlqReplayDeps,
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
