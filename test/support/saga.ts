import { ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { Redis } from 'ioredis';
import type { EndedOrder, EndedOrders } from '../../engine/archive/ended-orders';
import { createLedgerOfRecord } from '../../engine/archive/ledger-of-record';
import { createOutcomePublisher } from '../../engine/kafka/outcome-publisher';
import type { Order } from '../../engine/orders/order';
import { decodeOrderEvent, type OrderEvent } from '../../engine/orders/order-event';
import type { DeadLetter } from '../../engine/orders/dead-letter';
import type { ForeignCharge } from '../../engine/payments/own-charge';
import { ORDER_WORKFLOW, type OrderInput, type OrderResult } from '../../engine/orders/contract';
import { orderStartOptions } from '../../engine/orders/order-start';
import {
  createLedgerOpener,
  createLedgerOpening,
  createOpeningLedger,
} from '../../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../../engine/stock/ledger-registry';
import { redisAddr } from './addresses';
import { anAttempt, anItem, anOrder, aPurchase } from './purchases';
import { eventually } from './eventually';
import { createFakePaymentProvider } from './fake-payment-provider';
import { redisStockOn, type RedisStock } from './redis-stock';
import { createStepHooks } from './step-hooks';
import { useWorker } from './use-worker';

export type OrderHandle = WorkflowHandle<(input: { order: Order }) => Promise<OrderResult>>;

type ResetRequest = NonNullable<
  Parameters<OrderHandle['client']['workflowService']['resetWorkflowExecution']>[0]
>;
/** An event id in the server's format. */
export type EventId = NonNullable<ResetRequest['workflowTaskFinishEventId']>;
export type Saga = ReturnType<typeof useSaga>;

const WORKFLOW_TASK_COMPLETED = 7;
const ORDER_RETENTION_MS = 604_800_000;

/**
 * The order workflow in a test file: the real worker on the real Temporal and Redis, a provider, dead letters and
 * events in memory that a test can read, and hooks before and after every step.
 */
export function useSaga({
  archiveOf,
  isOpening = false,
  db = 0,
  afterSale,
}: {
  /** Absent: the worker takes no part in what happens after a sale. */
  readonly afterSale?: Parameters<typeof useWorker>[2];
  /** A database of Redis, apart from the archivers of other tests, which take the changes of stock of all items in theirs. */
  readonly db?: number;
  /** The steps open the ledgers of new items, and know of retired ones, as in a worker. */
  readonly isOpening?: boolean;
  /** Absent: the archive has whatever was told. */
  readonly archiveOf?: () => Pick<EndedOrders, 'endOf' | 'endOfRequest'>;
} = {}) {
  let stock: RedisStock;
  beforeAll(() => {
    stock = redisStockOn(new Redis(redisAddr(), { db }));
  });
  const letters: DeadLetter[] = [];
  const events: OrderEvent[] = [];
  const foreign: string[] = [];
  const undecided: string[] = [];
  const money = createFakePaymentProvider();
  const steps = createStepHooks();
  const deadLetters = {
    write: (letter: DeadLetter) => {
      letters.push(letter);
      return Promise.resolve();
    },
  };
  /** What the archive has once it was told. */
  const endOf = ({ orderId }: Pick<Order, 'orderId'>): Promise<EndedOrder | undefined> => {
    const told = events.filter(({ order }) => order.orderId === orderId);
    const last = told.toSorted((one, other) => one.revision - other.revision).at(-1);
    return Promise.resolve(last && endedOrder(last));
  };
  const archive = { endOf, endOfRequest: endOf };
  const ledgerOfSteps = () => {
    if (!isOpening) return stock.ledger;
    const registry = createLedgerRegistry(temporal.client, temporal.taskQueue);
    const opener = createLedgerOpener(createLedgerOpening(stock.redis), registry);
    return createOpeningLedger(stock.ledger, opener, registry);
  };
  const clients = () => ({
    ledger: createLedgerOfRecord(ledgerOfSteps(), archiveOf?.() ?? archive),
    provider: money.provider,
    deadLetters,
    outcomes: createOutcomePublisher(ledgerOfSteps(), {
      append: ({ value }) => {
        const decoded = decodeOrderEvent(value);
        if (decoded.kind === 'event') events.push(decoded.event);
        return Promise.resolve({ partition: 0, offset: String(events.length) });
      },
    }),
    orderRetentionMs: ORDER_RETENTION_MS,
    onForeignCharge: ({ error }: ForeignCharge) => foreign.push(error),
    onUndecided: (key: string) => undecided.push(key),
  });
  const temporal = useWorker(clients, steps.around, afterSale);
  afterAll(() => stock.redis.quit());
  const handleOf = (order: Order, runId?: string): OrderHandle =>
    temporal.client.workflow.getHandle(order.requestId, runId);

  return {
    money,
    /** The errors of charges of other orders that were found. */
    foreign,
    /** The keys of payments that could neither be ended nor were decided. */
    undecided,
    /** Hooks for an order's next calls of a step, one for each call: before it takes effect, or before its result is returned. */
    onStep: steps.on,
    get clients() {
      return clients();
    },
    get ledger() {
      return stock.ledger;
    },
    get stock() {
      return stock;
    },
    get ledgerOfRecord() {
      return clients().ledger;
    },
    get redis() {
      return stock.redis;
    },
    get client() {
      return temporal.client;
    },
    get taskQueue() {
      return temporal.taskQueue;
    },
    setFree: (order: Pick<Order, 'itemId'>, units: number) => stock.setFree(order.itemId, units),
    countsOf: (order: Pick<Order, 'itemId'>) => stock.countsOf(order.itemId),
    entryOf: async (order: Order) => (await stock.ledger.findOrder(order.requestId))?.entry,
    lettersOf: (order: Order) => letters.filter(({ requestId }) => requestId === order.requestId),
    /** As other systems read them: without repetitions, in the order of their revisions. */
    eventsOf: (order: Order) => {
      const own = events.filter((event) => event.order.requestId === order.requestId);
      const byId = new Map(own.map((event) => [`${event.order.orderId}:${event.revision}`, event]));
      return [...byId.values()].toSorted((one, other) => one.revision - other.revision);
    },
    handleOf,

    /** An order as ingest finds it: admitted and queued, after `supply` units of its item went on sale. */
    aQueuedOrder: async ({
      supply = 1,
      amount = 1,
      requestId,
      payWithinMs,
    }: {
      supply?: number;
      amount?: number;
      requestId?: string;
      /** Its buyer pays. */
      payWithinMs?: number;
    } = {}): Promise<Order> => {
      const itemId = requestId === undefined ? anItem() : `item-${requestId}`;
      const purchase = aPurchase({ itemId, amount, ...(requestId !== undefined && { requestId }) });
      await stock.setFree(purchase.itemId, supply);
      const attempt = anAttempt(purchase);
      await stock.admission.claimAndHold([attempt]);
      await stock.admission.queue([attempt]);
      return { ...anOrder(attempt), ...(payWithinMs !== undefined && { payWithinMs }) };
    },

    start: (
      order: Order,
      workflowIdReusePolicy:
        'REJECT_DUPLICATE' | 'ALLOW_DUPLICATE_FAILED_ONLY' = 'REJECT_DUPLICATE',
      input: Omit<OrderInput, 'order'> = { firstCharge: 'at-once', parking: true, events: true },
    ): Promise<OrderHandle> =>
      temporal.client.workflow.start(ORDER_WORKFLOW, {
        workflowId: order.requestId,
        workflowIdReusePolicy,
        taskQueue: temporal.taskQueue,
        args: [{ order, ...input }],
        priority: { fairnessKey: order.itemId },
        typedSearchAttributes: [
          { key: defineSearchAttributeKey('ItemId', 'KEYWORD'), value: order.itemId },
        ],
      }),

    /** Starts an order as ingest does, with a delay before its first workflow task. */
    startLater: (order: Order): Promise<OrderHandle> =>
      temporal.client.workflow.start(ORDER_WORKFLOW, {
        ...orderStartOptions({ order }, temporal.taskQueue, { kind: 'first' }),
        startDelay: '1 second',
      }),

    /** Resets the order's current run, or `runId`, to a completed workflow task: `eventId` or the first one. */
    reset: async (order: Order, to: { runId?: string; eventId?: EventId } = {}) => {
      const { workflowService } = temporal.client;
      const runId = to.runId ?? (await handleOf(order).describe()).runId;
      const eventId = to.eventId ?? (await firstWorkflowTaskOf(handleOf(order, runId)));
      const { runId: newRunId } = await workflowService.resetWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId: order.requestId, runId },
        reason: 'retried by the test',
        workflowTaskFinishEventId: eventId,
        requestId: crypto.randomUUID(),
      });
      return handleOf(order, newRunId);
    },
  };
}

function endedOrder(event: OrderEvent): EndedOrder {
  const { order, at, status, reason, paymentId, generation } = event;
  return {
    ...order,
    status,
    reason,
    paymentId,
    generation,
    finishedAt: at,
    refundedMinor: 0,
    restocked: 0,
  };
}

/** Local activities show their effects before the workflow task that runs them is completed. */
function firstWorkflowTaskOf(handle: OrderHandle): Promise<EventId> {
  return eventually('a workflow task is completed', async () => {
    const [first] = await workflowTasksOf(handle);
    return first;
  });
}

/** The completed workflow tasks of a run. A reset can go to each of them. */
export async function workflowTasksOf(handle: OrderHandle): Promise<EventId[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).flatMap(({ eventType, eventId }) =>
    Number(eventType) === WORKFLOW_TASK_COMPLETED && eventId ? [eventId] : [],
  );
}

/** The reason of a failed order. Throws if the order did not fail. */
export async function failureOf(handle: OrderHandle): Promise<string> {
  try {
    const result = await handle.result();
    throw new Error(`the order did not fail: ${JSON.stringify(result)}`);
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    if (cause instanceof ApplicationFailure && cause.type === 'OrderFailed') return cause.message;
    return cause?.name ?? 'unknown';
  }
}

/** A promise and the function that resolves it. */
export function aSignal() {
  let give: () => void = () => undefined;
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return {
    given,
    give: () => {
      give();
    },
  };
}
