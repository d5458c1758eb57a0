import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionInfo,
} from '@temporalio/client';
import type { ItemId, Order, RequestId } from '../orders/order';
import {
  ORDER_OUTCOME,
  ORDER_WORKFLOW,
  type OrderConfirmed,
  type OrderReplay,
} from '../orders/contract';
import { fingerprintInMemo, orderStartOptions } from '../orders/order-start';
import { readRunStory, type RunStory } from './run-story';

/** How an order's latest run stands. */
export interface OrderRun {
  readonly status: 'running' | 'confirmed' | 'failed' | 'cancelled' | 'ended-from-outside';
  readonly runId: string;
  /** Of the order it is for; undefined where somebody has started it by hand. */
  readonly fingerprint: string | undefined;
  /** When it ended, in ms; absent while it runs. */
  readonly closedAt?: number;
}

/** The order workflows of Temporal, for reading. Every method throws when there is no definite answer. */
export interface OrderRuns {
  /** The latest run of an order, never stale; undefined when there is none. */
  look(requestId: RequestId): Promise<OrderRun | undefined>;
  /** The latest run of each order of an item, as the server lists them: a second or more may be missing. */
  list(itemId: ItemId): Promise<ReadonlyMap<RequestId, OrderRun>>;
  /** The result of an order's confirmed run. */
  result(requestId: RequestId, runId: string): Promise<OrderConfirmed>;
  /** Starts an order anew unless its latest run goes on or was confirmed: of several at once one wins. */
  startAgain(order: Order, replay: OrderReplay): Promise<void>;
  /** What every run of an item's orders has found out, by order, oldest run first. */
  stories(
    itemId: ItemId,
    more: Iterable<RequestId>,
  ): Promise<ReadonlyMap<RequestId, readonly RunStory[]>>;
}

const CALL_MS_MAX = 10_000;
/** A hundred thousand runs are a hundred calls. */
const LISTING_MS_MAX = 60_000;
/** Histories under way at once: they are small, and the server has orders to serve as well. */
const HISTORIES_AT_ONCE = 8;

export function createOrderRuns(client: Client, taskQueue: string): OrderRuns {
  const call = <T>(use: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, use);

  const listed = async (query: string): Promise<WorkflowExecutionInfo[]> => {
    const runs: WorkflowExecutionInfo[] = [];
    await client.withDeadline(Date.now() + LISTING_MS_MAX, async () => {
      for await (const run of client.workflow.list({ query })) runs.push(run);
    });
    return runs.sort((one, other) => one.startTime.getTime() - other.startTime.getTime());
  };
  const ofItem = (itemId: ItemId) =>
    listed(`WorkflowType = '${ORDER_WORKFLOW}' AND ItemId = '${itemId}'`);
  const story = async (requestId: RequestId, runId: string): Promise<RunStory> => {
    const { events } = await call(() => client.workflow.getHandle(requestId, runId).fetchHistory());
    return readRunStory(events ?? []);
  };

  const look: OrderRuns['look'] = async (requestId) => {
    try {
      const run = await call(() => client.workflow.getHandle(requestId).describe());
      return run.type === ORDER_WORKFLOW ? orderRun(run) : undefined;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };

  return {
    look,
    list: async (itemId) =>
      new Map((await ofItem(itemId)).map((run) => [run.workflowId as RequestId, orderRun(run)])),
    result: (requestId, runId) =>
      call(() => client.workflow.getHandle(requestId, runId).result() as Promise<OrderConfirmed>),
    startAgain: async (order, replay) => {
      const options = orderStartOptions({ order }, taskQueue, { kind: 'replay', replay });
      try {
        await call(() => client.workflow.start(ORDER_WORKFLOW, options));
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    },
    stories: async (itemId, more) => {
      const runs = new Map<RequestId, string[]>();
      for (const { workflowId, runId } of await ofItem(itemId)) {
        const requestId = workflowId as RequestId;
        runs.set(requestId, [...(runs.get(requestId) ?? []), runId]);
      }
      // Those that the listing does not show yet are asked for by their ids.
      for (const requestId of more) {
        if (runs.has(requestId)) continue;
        const run = await look(requestId);
        if (run) runs.set(requestId, [run.runId]);
      }
      const stories = new Map<RequestId, readonly RunStory[]>();
      const orders = runs.entries();
      const work = async () => {
        for (const [requestId, runIds] of orders) {
          const own: RunStory[] = [];
          for (const runId of runIds) own.push(await story(requestId, runId));
          stories.set(requestId, own);
        }
      };
      await Promise.all(Array.from({ length: HISTORIES_AT_ONCE }, work));
      return stories;
    },
  };
}

function orderRun(
  run: Pick<
    WorkflowExecutionInfo,
    'status' | 'runId' | 'memo' | 'closeTime' | 'typedSearchAttributes'
  >,
): OrderRun {
  const closedAs = STATUSES[run.status.name];
  // A run that finds its buyer's mark completes all the same: see OrderCancelled.
  const cancelled =
    closedAs === 'confirmed' && run.typedSearchAttributes.get(ORDER_OUTCOME) === 'cancelled';
  return {
    status: cancelled ? 'cancelled' : closedAs,
    runId: run.runId,
    fingerprint: fingerprintInMemo(run.memo),
    ...(run.closeTime && { closedAt: run.closeTime.getTime() }),
  };
}

const STATUSES: Readonly<Record<WorkflowExecutionInfo['status']['name'], OrderRun['status']>> = {
  COMPLETED: 'confirmed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'ended-from-outside',
  TIMED_OUT: 'ended-from-outside',
  RUNNING: 'running',
  PAUSED: 'running',
  CONTINUED_AS_NEW: 'running',
  UNSPECIFIED: 'running',
  UNKNOWN: 'running',
};
