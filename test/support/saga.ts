import { ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import {
  createDeadLetterActivities,
  createPaymentActivities,
  createStockActivities,
} from '../../activities';
import type { Order } from '../../engine/orders/order';
import type { DeadLetter } from '../../engine/orders/dead-letter';
import { encodeOrder } from '../../engine/orders/order-record';
import { ORDER_WORKFLOW, type OrderInput, type OrderResult } from '../../engine/orders/contract';
import { orderStartOptions } from '../../engine/orders/order-start';
import { anAttempt, anItem, anOrder, aPurchase } from './purchases';
import { createProviderUnderFault } from './provider-under-fault';
import { openRedisStock, type RedisStock } from './redis-stock';
import { createStepHooks } from './step-hooks';
import { useWorker } from './use-worker';

export type OrderHandle = WorkflowHandle<(input: { order: Order }) => Promise<OrderResult>>;

type ResetRequest = NonNullable<
  Parameters<OrderHandle['client']['workflowService']['resetWorkflowExecution']>[0]
>;
/** The id of an event, in the form in which the server counts them. */
export type EventId = NonNullable<ResetRequest['workflowTaskFinishEventId']>;
export type Saga = ReturnType<typeof useSaga>;

const WORKFLOW_TASK_COMPLETED = 7;

/**
 * The saga of this test file: the real worker on the real Temporal and Redis, a provider and a dead-letter book that a
 * test can look into, and a hook before and after every step.
 */
export function useSaga() {
  let stock: RedisStock;
  beforeAll(() => {
    stock = openRedisStock();
  });
  const letters: DeadLetter[] = [];
  const money = createProviderUnderFault();
  const steps = createStepHooks();
  const writer = {
    write: (letter: DeadLetter) => {
      letters.push(letter);
      return Promise.resolve();
    },
  };
  const temporal = useWorker(() =>
    steps.around({
      ...createStockActivities(stock.ledger),
      ...createPaymentActivities(money.provider, stock.ledger),
      ...createDeadLetterActivities(writer, encodeOrder),
    }),
  );
  afterAll(() => stock.redis.quit());
  const handleOf = (order: Order, runId?: string): OrderHandle =>
    temporal.client.workflow.getHandle(order.requestId, runId);

  return {
    money,
    /** Runs hooks with the next calls of a step for an order, one each: before it takes effect, or before its answer is told. */
    onStep: steps.on,
    get ledger() {
      return stock.ledger;
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
    handleOf,

    /** An order as ingest finds it: admitted, its units queued, `supply` units of its item on sale before that. */
    aQueuedOrder: async ({
      supply = 1,
      amount = 1,
      requestId,
    }: { supply?: number; amount?: number; requestId?: string } = {}): Promise<Order> => {
      const itemId = requestId === undefined ? anItem() : `item-${requestId}`;
      const purchase = aPurchase({ itemId, amount, ...(requestId !== undefined && { requestId }) });
      await stock.setFree(purchase.itemId, supply);
      const attempt = anAttempt(purchase);
      await stock.admission.claimAndHold([attempt]);
      await stock.admission.queue([attempt]);
      return anOrder(purchase);
    },

    start: (
      order: Order,
      workflowIdReusePolicy:
        'REJECT_DUPLICATE' | 'ALLOW_DUPLICATE_FAILED_ONLY' = 'REJECT_DUPLICATE',
      input: Omit<OrderInput, 'order'> = { firstCharge: 'local' },
    ): Promise<OrderHandle> =>
      temporal.client.workflow.start(ORDER_WORKFLOW, {
        workflowId: order.requestId,
        workflowIdReusePolicy,
        taskQueue: temporal.taskQueue,
        args: [{ order, ...input }],
        typedSearchAttributes: [
          { key: defineSearchAttributeKey('ItemId', 'KEYWORD'), value: order.itemId },
        ],
      }),

    /** Starts an order as ingest does, with a moment before its first workflow task. */
    startLater: (order: Order): Promise<OrderHandle> =>
      temporal.client.workflow.start(ORDER_WORKFLOW, {
        ...orderStartOptions({ order }, temporal.taskQueue, { kind: 'first' }),
        startDelay: '1 second',
      }),

    /** Resets the order's current run, or `runId`, to a completed workflow task: the first one unless told otherwise. */
    reset: async (order: Order, to: { runId?: string; eventId?: EventId } = {}) => {
      const { workflowService } = temporal.client;
      const runId = to.runId ?? (await handleOf(order).describe()).runId;
      const eventId = to.eventId ?? (await workflowTasksOf(handleOf(order, runId)))[0];
      if (eventId === undefined) throw new Error(`${order.requestId} has no workflow task yet`);
      const answer = await workflowService.resetWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId: order.requestId, runId },
        reason: 'tried again by the test',
        workflowTaskFinishEventId: eventId,
        requestId: crypto.randomUUID(),
      });
      return handleOf(order, answer.runId);
    },
  };
}

/** The completed workflow tasks of a run, which are the points it can be reset to. */
export async function workflowTasksOf(handle: OrderHandle): Promise<EventId[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).flatMap(({ eventType, eventId }) =>
    Number(eventType) === WORKFLOW_TASK_COMPLETED && eventId ? [eventId] : [],
  );
}

/** The reason of a failed order; anything else it ends with is thrown. */
export async function failureOf(handle: OrderHandle): Promise<string> {
  try {
    const result = await handle.result();
    throw new Error(`the order ended well: ${JSON.stringify(result)}`);
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    if (cause instanceof ApplicationFailure && cause.type === 'OrderFailed') return cause.message;
    return cause?.name ?? 'unknown';
  }
}

/** A promise and the function that fulfils it. */
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
