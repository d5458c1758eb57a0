import { assertNever } from '../../orders/invariant';
import type { MarkWriter, StoredDeadLetter } from '../../kafka/dead-letters';
import { originalText } from '../../orders/order-record';
import type { MarkKind } from '../../orders/dead-letter';
import type { OrderReplayer, Standing } from '../doors/order-replayer';
import type { Operator } from '../operator';
import { OperatorFault } from '../operator-error';
import type { ReplayOutcome, ReplayResult } from './replay-outcomes';
import type { Candidate } from './replay-plan';

export interface ReplayOrdersDeps {
  readonly replayer: OrderReplayer;
  readonly marks: MarkWriter;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
  /** Called after each order. */
  readonly onProgress: (results: readonly ReplayResult[]) => void;
}

export interface ReplayOrdersOptions {
  readonly operator: Operator;
  /** Starts a second at most: a large replay must not crowd out a sale that is going on. */
  readonly rate: number;
  /** Starts at most. */
  readonly max: number;
  readonly dryRun: boolean;
  /** When the letters were read, in milliseconds since the epoch. */
  readonly readAt: number;
}

/**
 * Tries orders again one after the other, and marks their letters after each. An order that runs or is sold is left
 * alone, which is why a replay that was broken off goes on when it is run again. Throws an OperatorFault that says how
 * far it came.
 */
export async function replayOrders(
  candidates: readonly Candidate[],
  options: ReplayOrdersOptions,
  deps: ReplayOrdersDeps,
): Promise<readonly ReplayResult[]> {
  const results: ReplayResult[] = [];
  const pace = createPace(options.rate, deps);
  let starts = 0;
  for (const candidate of candidates) {
    if (starts >= options.max) break;
    try {
      const result = await replayOrder(candidate, options, { ...deps, pace });
      if (result.outcome === 'started' || result.outcome === 'would-start') starts += 1;
      results.push(result);
    } catch (cause) {
      if (!(cause instanceof OperatorFault)) throw cause;
      throw new OperatorFault(
        cause.kind,
        `${cause.message} Stopped at order ${results.length + 1} of ${candidates.length}, ${candidate.order.requestId}; the same again goes on from there.`,
        { cause: cause.cause },
      );
    }
    deps.onProgress(results);
  }
  return results;
}

async function replayOrder(
  candidate: Candidate,
  { operator, dryRun, readAt }: ReplayOrdersOptions,
  deps: ReplayOrdersDeps & { readonly pace: () => Promise<void> },
): Promise<ReplayResult> {
  const { order, letter } = candidate;
  const standing = await deps.replayer.look(order);
  const result = (outcome: ReplayOutcome, runId?: string): ReplayResult => ({
    ...{ requestId: order.requestId, letterId: letter.id, outcome },
    ...(runId !== undefined && { runId }),
  });
  switch (standing.kind) {
    case 'sold':
      if (!dryRun) await markAll(candidate.covers, 'sold', operator, deps);
      return result('sold');
    case 'running':
    case 'cancelled':
    case 'other-order':
      return result(standing.kind);
    case 'failed':
      if (hasFailedSince(standing, letter, readAt)) return result('failed-again');
      break;
    case 'none':
      break;
    default:
      return assertNever(standing);
  }
  if (dryRun) return result('would-start');

  await deps.pace();
  const input = {
    order,
    ...(letter.source && { source: letter.source }),
    ...originalText(letter.value, order),
  };
  const runId = await deps.replayer.start(input, { ...operator, letterId: letter.id });
  // Somebody was faster; whether the order still runs does not matter, it is theirs.
  if (runId === undefined) return result('running');
  await markAll(candidate.covers, 'replayed', operator, deps, runId);
  return result('started', runId);
}

/**
 * Another replay was faster and has failed: the letter that we have read is not the last word any more. A run that had
 * failed before we read, without a letter (terminated, say), is no reason to wait for one.
 */
function hasFailedSince(
  { runId, closedAt }: Extract<Standing, { kind: 'failed' }>,
  letter: StoredDeadLetter,
  readAt: number,
): boolean {
  return closedAt >= readAt && letter.runId !== undefined && runId !== letter.runId;
}

/** After the start: should we die between the two, the letter stays in the list, and the order is found running or sold. */
async function markAll(
  letters: readonly StoredDeadLetter[],
  kind: MarkKind,
  operator: Operator,
  { marks, now }: ReplayOrdersDeps,
  runId?: string,
): Promise<void> {
  const mark = { kind, ...operator, at: now(), ...(runId !== undefined && { runId }) };
  await Promise.all(letters.map((letter) => marks.mark(letter, mark)));
}

/** Waits so that it returns at most `rate` times a second, evenly. */
function createPace(rate: number, { now, sleep }: Pick<ReplayOrdersDeps, 'now' | 'sleep'>) {
  let next = 0;
  return async (): Promise<void> => {
    const waitMs = next - now();
    if (waitMs > 0) await sleep(waitMs);
    next = now() + 1_000 / rate;
  };
}
