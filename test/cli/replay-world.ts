import { dlqReplay, type ReplayOptions } from '../../cli/dlq-replay';
import type { RunState } from '../../engine/dead-letters/order-replayer';
import { OperatorError } from '../../engine/dead-letters/operator';
import type { DeadLetterMark } from '../../engine/orders/dead-letter';
import { createLetters } from '../../engine/dead-letters/read-letters';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import { encodeOrder } from '../../engine/orders/order-record';
import type { LogEntry } from '../../engine/kafka/safe-producer';
import type { OrderInput, OrderReplay } from '../../engine/orders/contract';
import { at, order } from './letters';
import { anOperator, type Acted } from './an-operator';
import { textTerminal } from './text-terminal';

/** When a replay reads the letters. */
export const READ_AT = at(40);

/**
 * Kafka, Temporal and a clock in one object. Unlike the real ones they answer at once; time goes on only when somebody
 * sleeps; a started order runs for ever.
 */
export function aWorld(
  letters: readonly StoredDeadLetter[],
  standings: Record<string, RunState> = {},
) {
  const starts: { input: OrderInput; replay: OrderReplay; at: number }[] = [];
  const marks: DeadLetterMark[] = [];
  const appended: LogEntry[] = [];
  const actions: Acted[] = [];
  /** The ids that other requests have. */
  const claims = new Set<string>();
  const claimed: string[] = [];
  const state = { now: READ_AT, isWatched: false, faultAt: '' };
  const failed = (requestId: string): RunState => ({
    kind: 'failed',
    runId: `${requestId}-run`,
    closedAt: at(10),
  });
  const terminal = textTerminal();
  const run = async (options: Partial<ReplayOptions> = {}) => {
    const replayer = {
      look: ({ requestId }: { requestId: string }) =>
        requestId === state.faultAt
          ? Promise.reject(new OperatorError('unavailable', 'Temporal gives no answer.'))
          : Promise.resolve(standings[requestId] ?? failed(requestId)),
      start: (input: OrderInput, replay: OrderReplay) => {
        const { requestId } = input.order;
        if (standings[requestId]?.kind === 'running') return Promise.resolve(undefined);
        standings[requestId] = { kind: 'running' };
        starts.push({ input, replay, at: state.now });
        return Promise.resolve(`${requestId}-run-2`);
      },
    };
    const mark = ({ id }: { id: string }, made: Omit<DeadLetterMark, 'letterId'>) => {
      marks.push({ letterId: id, ...made });
      return Promise.resolve();
    };
    const append = (entry: LogEntry) => {
      appended.push(entry);
      return Promise.resolve({ partition: 0, offset: '0' });
    };
    return dlqReplay(
      {
        terminal,
        ...anOperator(actions),
        isWatched: state.isWatched,
        readLetters: () => Promise.resolve(createLetters({ memory: letters })),
        withReplayer: (use) => use(replayer),
        withMarks: (use) => use({ mark }),
        withOrders: (use) => use({ append }),
        claim: ({ requestId }) => {
          if (claims.has(requestId)) return Promise.resolve(false);
          claimed.push(requestId);
          return Promise.resolve(true);
        },
        now: () => state.now,
        sleep: (ms) => Promise.resolve((state.now += ms)),
      },
      { ids: [], rate: 10, why: 'renewed', ...options },
    );
  };
  const outcomes = async (options: Partial<ReplayOptions> = {}) => {
    const code = await run({ ...options, json: true });
    const { orders } = JSON.parse(terminal.written()) as {
      orders: { letter_id: string; outcome: string }[];
    };
    return { code, outcomes: orders.map((one) => `${one.letter_id} ${one.outcome}`) };
  };
  return {
    run,
    outcomes,
    starts,
    marks,
    appended,
    actions,
    claims,
    claimed,
    state,
    standings,
    terminal,
  };
}

export const ids = (...names: string[]) => ({ ids: names });

/** The record of an order, as its fields. */
export function record(requestId: string): Record<string, unknown> {
  return JSON.parse(encodeOrder(order(requestId)).toString()) as Record<string, unknown>;
}
