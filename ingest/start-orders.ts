import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { UnavailableError, type LogRecord, type RecordHandler } from '../engine/kafka/consumer';
import type { DeadLetterWriter } from '../engine/kafka/dead-letters';
import type { OutcomePublisher } from '../engine/kafka/outcome-publisher';
import { ORDER_OUTCOME, ORDER_WORKFLOW, type OrderInput } from '../engine/orders/contract';
import type { DeadLetter } from '../engine/orders/dead-letter';
import { isLedgerUnreadable } from '../engine/orders/ledger';
import type { ItemId, Order, OrderId, RequestId } from '../engine/orders/order';
import { decodeOrder, originalText } from '../engine/orders/order-record';
import {
  fingerprintInMemo,
  orderIdInMemo,
  orderStartOptions,
  type StartKind,
} from '../engine/orders/order-start';
import type { StockLedger } from '../engine/stock/stock-ledger';
import type { Call } from '../platform/failpoints';
import type { Logger } from '../platform/logger';
import type { KeptClaims } from './kept-claims';
import type { OpenOrders } from './open-orders';
import type { RefusedOrders } from './refused-orders';

/** What became of a record. */
export type RecordOutcome =
  | 'started'
  /** Its first task came back with the start, to the order worker of this process. */
  | 'started-eagerly'
  | 'repeated'
  | 'invalid-record'
  | 'request-id-reused';

export interface StartOrdersDeps {
  readonly starter: OrderStarter;
  readonly openOrders: Pick<OpenOrders, 'enter' | 'leave'>;
  readonly deadLetters: DeadLetterWriter;
  readonly refused: Pick<RefusedOrders, 'tell'>;
  readonly ledger: Pick<StockLedger, 'abandon' | 'awaitsRun'>;
  readonly claims: Pick<KeptClaims, 'keep'>;
  /** Called once for each finished record. */
  readonly onOutcome: (outcome: RecordOutcome) => void;
  readonly logger: Logger;
}

/** Records that are no orders wait in a queue of their own. No item has this id. */
const NO_ITEM = '';

/**
 * Makes the handler of order records: each becomes one workflow, or one dead letter if it can never become a workflow.
 * Items take turns.
 */
export function createStartOrders(deps: StartOrdersDeps): RecordHandler {
  return {
    queueOf: ({ value }) => {
      const decoded = decodeOrder(value);
      return decoded.kind === 'order' ? decoded.order.itemId : NO_ITEM;
    },
    admit: (queue) => queue === NO_ITEM || deps.openOrders.enter(queue as ItemId),
    handle: async (record) => {
      deps.onOutcome(await startOrder(record, deps));
    },
  };
}

async function startOrder(record: LogRecord, deps: StartOrdersDeps): Promise<RecordOutcome> {
  const decoded = decodeOrder(record.value);
  if (decoded.kind === 'invalid') {
    const { problem, ...ids } = decoded;
    await writeDeadLetter(record, { reason: 'invalid-record', error: problem, ...ids }, deps);
    return 'invalid-record';
  }
  const { order } = decoded;
  const { topic, partition, offset, value } = record;
  const source = { topic, partition, offset };
  const input = { order, source, ...originalText(value, order) };
  const result = await start(input, deps);
  if (result.kind === 'started' || result.fingerprint === order.fingerprint) {
    deps.claims.keep(order);
    if (result.kind === 'exists') return 'repeated';
    return result.isEager ? 'started-eagerly' : 'started';
  }
  const { requestId, orderId, itemId, fingerprint } = order;
  const reason = 'request-id-reused';
  const error = 'another order has this request_id already';
  await writeDeadLetter(record, { reason, error, requestId, orderId, itemId }, deps);
  // After the letter: if the process dies between the two, the record is delivered again and both are repeated.
  await giveBack({ itemId, requestId, orderId, fingerprint, reason }, deps);
  await deps.refused.tell(order);
  return reason;
}

/** A ledger that cannot be read keeps no record waiting: only an operator can mend it, and the letter tells of the order. */
async function giveBack(
  order: Parameters<StockLedger['abandon']>[0],
  { ledger, logger }: StartOrdersDeps,
): Promise<void> {
  try {
    await ledger.abandon(order);
  } catch (error) {
    if (!isLedgerUnreadable(error)) {
      throw new UnavailableError('giving back the units has failed', { cause: error });
    }
    const { itemId, requestId } = order;
    logger.warn(
      { err: error, itemId, requestId },
      'the units of a refused order are not given back',
    );
  }
}

/**
 * Whether the id has only the closed run of an earlier acceptance of the same request. That order is over and forgotten if the
 * ledger has this one.
 */
function isAfterAnother(result: StartResult, { fingerprint, orderId }: Order): boolean {
  if (result.kind === 'started' || !result.isClosed) return false;
  return result.fingerprint === fingerprint && result.orderId !== orderId;
}

function awaitsRun(order: Order, { ledger }: StartOrdersDeps): Promise<boolean> {
  return orUnavailable('looking the order up', () => ledger.awaitsRun(order));
}

/** The place among the open orders was taken by `admit`. */
async function start(input: OrderInput, deps: StartOrdersDeps): Promise<StartResult> {
  const { starter, openOrders } = deps;
  const { order } = input;
  let opened = false;
  try {
    let result = await starter.start(input, 'first');
    if (isAfterAnother(result, order) && (await awaitsRun(order, deps))) {
      result = await starter.start(input, 'first-under-a-used-id');
    }
    opened = result.kind === 'started';
    return result;
  } finally {
    openOrders.leave(order.itemId, opened);
  }
}

/** Writes a dead letter for a record that will never be a workflow. Its id is the place of the record. */
async function writeDeadLetter(
  { topic, partition, offset, value }: LogRecord,
  failure: Pick<DeadLetter, 'reason' | 'error' | 'requestId' | 'orderId' | 'itemId'>,
  { deadLetters, logger }: StartOrdersDeps,
): Promise<void> {
  logger.warn({ topic, partition, offset, ...failure }, 'writing a dead letter for a record');
  await orUnavailable('writing a dead letter', () =>
    deadLetters.write({
      ...failure,
      id: `${topic}:${partition}:${offset}`,
      generation: 0,
      at: Date.now(),
      source: { topic, partition, offset },
      value: value ?? Buffer.alloc(0),
    }),
  );
}

/** Redis and Kafka only throw when they do not answer, which is not the record's fault. */
async function orUnavailable<T>(what: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    throw new UnavailableError(`${what} has failed`, { cause: error });
  }
}

export type StartResult =
  | { readonly kind: 'started'; readonly isEager: boolean }
  | {
      /** The id has or had a workflow. */
      readonly kind: 'exists';
      /** Of its order; undefined when it is not an order workflow. */
      readonly fingerprint: string | undefined;
      /** Undefined as well when the order is older than order ids. */
      readonly orderId: OrderId | undefined;
      readonly isClosed: boolean;
    };

export type FirstStart = Exclude<StartKind['kind'], 'replay'>;

/** Temporal as ingest uses it. Every method throws UnavailableError without a definite answer, and may be called again. */
export interface OrderStarter {
  start(input: OrderInput, kind?: FirstStart): Promise<StartResult>;
  /** About how many orders are under way. */
  countOpen(): Promise<number>;
}

/** A start that times out may have happened; the next attempt then finds it. */
const CALL_MS_MAX = 5_000;

/** A parked order has an outcome: it costs the workers nothing, however long it waits. */
const OPEN_ORDERS = `WorkflowType = '${ORDER_WORKFLOW}' AND ExecutionStatus = 'Running' AND ${ORDER_OUTCOME.name} IS NULL`;

/**
 * Starts orders in Temporal, on one task queue. `eager`: a worker of that queue has the client's connection, which is a
 * NativeConnection. While it has a free slot it gets the first task of an order with the response to its start.
 */
export function createOrderStarter(
  client: Client,
  taskQueue: string,
  { eager = false }: { readonly eager?: boolean } = {},
): OrderStarter {
  /** No refusal is the order's fault: Temporal refuses a missing search attribute like an invalid argument. */
  async function call<T>(what: string, use: () => Promise<T>): Promise<T> {
    try {
      return await client.withDeadline(Date.now() + CALL_MS_MAX, use);
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) throw error;
      throw new UnavailableError(`Temporal does not answer ${what}`, { cause: error });
    }
  }

  async function start(input: OrderInput, kind: FirstStart = 'first'): Promise<StartResult> {
    const options = { ...orderStartOptions(input, taskQueue, { kind }), requestEagerStart: eager };
    try {
      const handle = await call('a start', () => client.workflow.start(ORDER_WORKFLOW, options));
      return { kind: 'started', isEager: handle.eagerlyStarted };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return look(input.order.requestId);
    }
  }

  /** From the memo of a workflow, or from its argument when it was started by hand and has no memo. */
  async function look(requestId: RequestId): Promise<StartResult> {
    const { memo, closeTime } = await call('a description', () =>
      client.workflow.getHandle(requestId).describe(),
    );
    return {
      kind: 'exists',
      fingerprint: fingerprintInMemo(memo) ?? (await fingerprintInHistory(requestId)),
      orderId: orderIdInMemo(memo),
      isClosed: closeTime !== undefined,
    };
  }

  async function fingerprintInHistory(requestId: RequestId): Promise<string | undefined> {
    const { history } = await call('a history', () =>
      client.workflowService.getWorkflowExecutionHistory({
        namespace: client.options.namespace,
        execution: { workflowId: requestId },
        maximumPageSize: 1,
      }),
    );
    const attributes = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
    const payload = attributes?.input?.payloads?.[0];
    if (!payload) return undefined;
    // Anything may stand there: the fields are looked for, not believed.
    const input = defaultPayloadConverter.fromPayload<AnyOrderInput>(payload);
    const fingerprint = input?.order?.fingerprint;
    return typeof fingerprint === 'string' ? fingerprint : undefined;
  }

  return {
    start,
    countOpen: async () => (await call('a count', () => client.workflow.count(OPEN_ORDERS))).count,
  };
}

type AnyOrderInput = { readonly order?: { readonly fingerprint?: unknown } | null } | null;

/** The failpoint of each call that leaves this process. Its order worker runs local activities only. */
export const FAILPOINTS = {
  starter: { start: 'start', countOpen: 'count' },
  deadLetters: { write: 'dead-letter' },
  outcomes: { publish: 'publish' },
  ledger: { abandon: 'give-back', awaitsRun: 'may-start', reserve: 'reserve', confirm: 'confirm' },
  provider: { charge: 'charge' },
  claims: { keepClaims: 'claim' },
  commit: 'commit',
} as const satisfies {
  readonly starter: Record<keyof OrderStarter, Call<'ingest'>>;
  readonly deadLetters: Record<keyof DeadLetterWriter, Call<'ingest'>>;
  readonly outcomes: Record<keyof OutcomePublisher, Call<'ingest'>>;
  readonly ledger: Record<keyof StartOrdersDeps['ledger'] | 'reserve' | 'confirm', Call<'ingest'>>;
  readonly provider: Record<'charge', Call<'ingest'>>;
  readonly claims: Record<'keepClaims', Call<'ingest'>>;
  readonly commit: Call<'ingest'>;
};
