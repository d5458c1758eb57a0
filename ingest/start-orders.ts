import { assertNever } from '../engine/orders/invariant';
import type { FailureReason, Order } from '../engine/orders/order';
import { UnavailableError, type LogRecord } from '../engine/kafka/consumer';
import type { DeadLetterWriter } from '../engine/kafka/dead-letters';
import { decodeOrder, originalText } from '../engine/orders/order-record';
import type { Logger } from '../platform/logger';
import type { StockLedger } from '../engine/stock/stock-ledger';
import type { OrderInput } from '../engine/orders/contract';
import type { IngestMetrics, RecordOutcome } from './metrics';
import type { OpenOrders } from './open-orders';
import type { OrderStarter } from './order-starter';

/** Starts of one chunk under way at once: enough to hide the round trip, too few to storm the server. */
const STARTS_AT_ONCE = 20;

export interface StartOrdersDeps {
  readonly starter: OrderStarter;
  readonly openOrders: OpenOrders;
  readonly deadLetters: DeadLetterWriter;
  readonly ledger: Pick<StockLedger, 'abandon'>;
  readonly metrics: IngestMetrics;
  readonly logger: Logger;
}

/**
 * Makes the handler of order records: each becomes one workflow, or one dead letter if it can never become one. Throws
 * UnavailableError as long as something is away; the chunk given again then goes on where it stopped.
 */
export function createStartOrders(deps: StartOrdersDeps) {
  // Remembers across the tries of a chunk, so that one slow record does not make the others ask Temporal again.
  const finished = new WeakSet<LogRecord>();

  return async (records: readonly LogRecord[], signal: AbortSignal): Promise<void> => {
    const groups = sameKeyTogether(records.filter((record) => !finished.has(record))).values();
    let stopped = false;
    async function work(): Promise<void> {
      // The iterator is shared: every group goes to whoever asks next.
      for (const group of groups) for (const record of group) if (!stopped) await finish(record);
    }
    async function finish(record: LogRecord): Promise<void> {
      try {
        const outcome = await startOrder(record, signal, deps);
        finished.add(record);
        deps.metrics.recordDone(outcome);
      } catch (error) {
        stopped = true;
        throw error;
      }
    }
    // All are awaited, also after a failure: none may still be at work when the chunk comes again.
    const results = await Promise.allSettled(Array.from({ length: STARTS_AT_ONCE }, work));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  };
}

/** Of two records under one id the log's order decides which is the order, so they must not race each other. */
function sameKeyTogether(records: readonly LogRecord[]): readonly LogRecord[][] {
  const groups = new Map<unknown, LogRecord[]>();
  for (const record of records) {
    const key = record.key?.toString() ?? record;
    const group = groups.get(key);
    if (group) group.push(record);
    else groups.set(key, [record]);
  }
  return [...groups.values()];
}

async function startOrder(
  record: LogRecord,
  signal: AbortSignal,
  deps: StartOrdersDeps,
): Promise<RecordOutcome> {
  const decoded = decodeOrder(record.value);
  switch (decoded.kind) {
    case 'invalid': {
      const { problem, ...ids } = decoded;
      await bury(record, { reason: 'invalid-record', error: problem, ...ids }, deps);
      return 'invalid-record';
    }
    case 'order':
      return startDecoded(record, decoded.order, signal, deps);
    default:
      return assertNever(decoded);
  }
}

async function startDecoded(
  record: LogRecord,
  order: Order,
  signal: AbortSignal,
  deps: StartOrdersDeps,
): Promise<RecordOutcome> {
  const answer = await startWhenThereIsRoom(toInput(record, order), signal, deps);
  if (answer.kind === 'started') return 'started';
  if (answer.fingerprint === order.fingerprint) return 'repeated';
  const { requestId, itemId, fingerprint } = order;
  const error = 'another order has this request_id already';
  await bury(record, { reason: 'request-id-reused', error, requestId, itemId }, deps);
  // After the letter: should the process die between the two, the record comes again and both are repeated.
  await orUnavailable('giving back the units', () =>
    deps.ledger.abandon({ itemId, requestId, fingerprint, reason: 'request-id-reused' }),
  );
  return 'request-id-reused';
}

async function startWhenThereIsRoom(
  input: OrderInput,
  signal: AbortSignal,
  { starter, openOrders }: StartOrdersDeps,
) {
  await openOrders.enter(signal);
  let opened = false;
  try {
    const answer = await starter.start(input);
    opened = answer.kind === 'started';
    return answer;
  } finally {
    openOrders.leave(opened);
  }
}

function toInput({ topic, partition, offset, value }: LogRecord, order: Order): OrderInput {
  return { order, source: { topic, partition, offset }, ...originalText(value, order) };
}

/** Writes a dead letter for a record that will never be a workflow, under the record's own place as its id. */
async function bury(
  { topic, partition, offset, value }: LogRecord,
  fault: { reason: FailureReason; error: string; requestId?: string; itemId?: string },
  { deadLetters, logger }: StartOrdersDeps,
): Promise<void> {
  logger.warn({ topic, partition, offset, ...fault }, 'a record goes to the dead letters');
  await orUnavailable('writing a dead letter', () =>
    deadLetters.write({
      ...fault,
      id: `${topic}:${partition}:${offset}`,
      generation: 0,
      at: Date.now(),
      source: { topic, partition, offset },
      value: value ?? Buffer.alloc(0),
    }),
  );
}

/** Redis and Kafka throw only for want of an answer; none of it is the record's fault. */
async function orUnavailable(what: string, use: () => Promise<void>): Promise<void> {
  try {
    await use();
  } catch (error) {
    throw new UnavailableError(`${what} has failed`, { cause: error });
  }
}
