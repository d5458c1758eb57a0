import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionInfo,
} from '@temporalio/client';
import { tsToMs } from '@temporalio/common/lib/time';
import { isId, type ItemId, type Order, type RequestId } from '../orders/order';
import {
  ORDER_OUTCOME,
  ORDER_WORKFLOW,
  type OrderConfirmed,
  type OrderReplay,
} from '../orders/contract';
import { fingerprintInMemo, orderStartOptions } from '../orders/order-start';
import { runsKeptMs } from '../orders/run-retention';
import { readRunHistory, type RunHistory } from './run-history';

/** The state of an order's latest run. */
export interface OrderRun {
  readonly status: 'running' | 'confirmed' | 'failed' | 'cancelled' | 'ended-from-outside';
  readonly runId: string;
  /** The fingerprint of its order; undefined in a run that was started by hand. */
  readonly fingerprint: string | undefined;
  /** When it ended, by the server's clock: no step of it has a larger fence. Absent while it is running. */
  readonly closedAt?: number;
}

/** The order workflows in Temporal. Every method throws without a definite answer. */
export interface OrderRuns {
  /** The latest run of an order, never stale; undefined when there is none. */
  look(requestId: RequestId): Promise<OrderRun | undefined>;
  /** The latest run of each of these orders, from the server's listing, which may be seconds behind. */
  latest(requestIds: readonly RequestId[]): Promise<ReadonlyMap<RequestId, OrderRun>>;
  /** The orders whose runs were confirmed in a span of time, page by page, from the listing. */
  confirmed(itemId: ItemId, span: TimeSpan): AsyncIterable<readonly RequestId[]>;
  /** The orders whose runs ended in a span of time and were not confirmed, page by page, from the listing. */
  unsold(itemId: ItemId, span: TimeSpan): AsyncIterable<readonly RequestId[]>;
  countConfirmed(itemId: ItemId, span: TimeSpan): Promise<number>;
  /** How long a run that has ended is kept, at least: also one that ended before the retention was raised. */
  keptMs(): Promise<number>;
  /** The result of an order's confirmed run. */
  result(requestId: RequestId, runId: string): Promise<OrderConfirmed>;
  /** Starts a new run unless the latest one is open or confirmed. Only one concurrent start succeeds. */
  startAgain(order: Order, replay: OrderReplay): Promise<void>;
  /** The ids of all runs of an item's orders, by order, oldest run first, from the server's listing. */
  runIds(itemId: ItemId): Promise<ReadonlyMap<RequestId, readonly string[]>>;
  /** The same of some orders. */
  runIdsOf(
    itemId: ItemId,
    requestIds: readonly RequestId[],
  ): Promise<ReadonlyMap<RequestId, readonly string[]>>;
  /** The orders of an item with a run that is open, or that was ended from outside. From the listing. */
  unfinished(itemId: ItemId): Promise<ReadonlySet<RequestId>>;
  history(requestId: RequestId, runId: string): Promise<RunHistory>;
}

/** From the start to before the end, in ms since the epoch. */
export interface TimeSpan {
  readonly from: number;
  readonly to: number;
}

const CALL_MS_MAX = 10_000;
/** Ids of 128 characters make a query of 13 KB; servers take 50 KB. */
const IDS_PER_QUERY = 100;
const RUNS_PER_PAGE = 500;
/** A million runs are a thousand calls. */
const LISTING_MS_MAX = 300_000;

export function createOrderRuns(client: Client, taskQueue: string): OrderRuns {
  const call = <T>(use: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, use);

  /** `keep` takes from each run what the caller needs: a whole one is kilobytes, and an item may have a million. */
  const listed = async <T>(
    query: string,
    keep: (run: WorkflowExecutionInfo) => T,
  ): Promise<T[]> => {
    const kept: T[] = [];
    await client.withDeadline(Date.now() + LISTING_MS_MAX, async () => {
      for await (const run of client.workflow.list({ query })) kept.push(keep(run));
    });
    return kept;
  };

  const pages = async function* (query: string, isWanted: (run: WorkflowExecutionInfo) => boolean) {
    let page: RequestId[] = [];
    for await (const run of client.workflow.list({ query })) {
      if (isWanted(run)) page.push(run.workflowId as RequestId);
      if (page.length < RUNS_PER_PAGE) continue;
      yield page;
      page = [];
    }
    yield page;
  };

  const runIdsBy = async (queries: readonly string[]) => {
    const runs = new Map<RequestId, string[]>();
    for (const query of queries) {
      const listedRuns = await listed(query, ({ workflowId, runId, startTime }) => ({
        workflowId,
        runId,
        startTime,
      }));
      for (const { workflowId, runId } of inOrder(listedRuns)) {
        const requestId = workflowId as RequestId;
        runs.set(requestId, [...(runs.get(requestId) ?? []), runId]);
      }
    }
    return runs;
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

    latest: async (requestIds) => {
      const runs: WorkflowExecutionInfo[] = [];
      for (const ids of idLists(requestIds)) {
        const query = `WorkflowType = '${ORDER_WORKFLOW}' AND WorkflowId IN (${ids})`;
        runs.push(...(await listed(query, (run) => run)));
      }
      return new Map(inOrder(runs).map((run) => [run.workflowId as RequestId, orderRun(run)]));
    },

    confirmed: (itemId, span) =>
      pages(confirmedIn(itemId, span), (run) => orderRun(run).status === 'confirmed'),
    unsold: (itemId, span) =>
      pages(endedIn(itemId, span), (run) => orderRun(run).status !== 'confirmed'),

    countConfirmed: async (itemId, span) =>
      (await call(() => client.workflow.count(confirmedIn(itemId, span)))).count,

    keptMs: async () => {
      const { namespace } = client.options;
      const { config, namespaceInfo } = await call(() =>
        client.workflowService.describeNamespace({ namespace }),
      );
      const keptMs = tsToMs(config?.workflowExecutionRetentionTtl);
      return runsKeptMs({ keptMs, data: namespaceInfo?.data ?? {} }, Date.now());
    },

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

    runIds: (itemId) => runIdsBy([ofItem(itemId)]),

    runIdsOf: (itemId, requestIds) =>
      runIdsBy(idLists(requestIds).map((ids) => `${ofItem(itemId)} AND WorkflowId IN (${ids})`)),

    unfinished: async (itemId) => {
      const query = `${ofItem(itemId)} AND ExecutionStatus != 'Completed' AND ExecutionStatus != 'Failed'`;
      return new Set(await listed(query, ({ workflowId }) => workflowId as RequestId));
    },

    history: async (requestId, runId) => {
      const handle = client.workflow.getHandle(requestId, runId);
      const { events } = await call(() => handle.fetchHistory());
      return readRunHistory(events ?? []);
    },
  };
}

/** Ids as queries take them. An entry that was written by hand may have any name. */
function idLists(requestIds: readonly RequestId[]): string[] {
  const wanted = requestIds.filter(isId).map((id) => `'${id}'`);
  const lists: string[] = [];
  for (let start = 0; start < wanted.length; start += IDS_PER_QUERY) {
    lists.push(wanted.slice(start, start + IDS_PER_QUERY).join(', '));
  }
  return lists;
}

function ofItem(itemId: ItemId): string {
  return `WorkflowType = '${ORDER_WORKFLOW}' AND ItemId = '${itemId}'`;
}

function inOrder<T extends Pick<WorkflowExecutionInfo, 'startTime'>>(runs: T[]): T[] {
  return runs.sort((one, other) => one.startTime.getTime() - other.startTime.getTime());
}

function confirmedIn(itemId: ItemId, span: TimeSpan): string {
  return `${endedIn(itemId, span)} AND ExecutionStatus = 'Completed'`;
}

function endedIn(itemId: ItemId, { from, to }: TimeSpan): string {
  const [start, end] = [from, to].map((ms) => new Date(ms).toISOString());
  return `${ofItem(itemId)} AND CloseTime >= '${start ?? ''}' AND CloseTime < '${end ?? ''}'`;
}

function orderRun(
  run: Pick<
    WorkflowExecutionInfo,
    'status' | 'runId' | 'memo' | 'typedSearchAttributes' | 'closeTime'
  >,
): OrderRun {
  const status = STATUSES[run.status.name];
  // A run of a cancelled order may complete as well: see OrderCancelled.
  const outcome = run.typedSearchAttributes.get(ORDER_OUTCOME);
  const isCancelled = status === 'confirmed' && typeof outcome === 'string';
  return {
    status: isCancelled ? 'cancelled' : status,
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

/** Calls `use` for each item, at most `max` at a time. */
export async function forEachConcurrently<T>(
  items: Iterable<T>,
  max: number,
  use: (item: T) => Promise<unknown>,
): Promise<void> {
  const remaining = [...items].values();
  const work = async () => {
    for (const item of remaining) await use(item);
  };
  await Promise.all(Array.from({ length: max }, work));
}
