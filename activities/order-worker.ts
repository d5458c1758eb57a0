import { join } from 'node:path';
import { Worker, type NativeConnection } from '@temporalio/worker';
import type { ItemId } from '../engine/orders/order';
import type { Lifecycle } from '../platform/lifecycle';
import {
  createOrderActivities,
  type AuditActivities,
  type OrderActivities,
} from './order-activities';
import type { PaymentActivities } from './payment-activities';
import type { RefundActivities } from './refund-activities';
import { createSellAtOnce } from './sell-at-once';

/**
 * Open orders whose workflows stay in memory. More than ingest runs at once by default (500), at about 60 KB each. The
 * SDK's own default follows the heap size and has ended the process.
 */
const CACHED_WORKFLOWS_MAX = 1_000;

/**
 * Workflow tasks under way at once. An order's first task waits for Redis and the provider and keeps its slot, so this also
 * bounds the charges at once: a provider that answers after 3 s limits a worker to 20 orders/s. But the tasks share one
 * core, and a task of a quiet item shares it with all that a hot item has got slots for: behind 600 orders of a hot item, on
 * a busy machine, it took 28 s with 200 slots, 6 s with 100 and 2 s with 60, at the same rate of orders.
 */
const WORKFLOW_TASKS_MAX = 60;

/** One for new tasks and one for those of the workflows it has in its cache: the SDK takes no fewer. */
const POLLS_BESIDE_STARTS = 2;

/** More than tasks: a local activity that has timed out keeps its slot until its call ends. */
const LOCAL_ACTIVITIES_MAX = 200;

/** Longer than the longest activity attempt but one: a payment under way (10 s) ends before the worker does. */
const SHUTDOWN_GRACE_MS = 12_000;

/** A worker for order workflows and their activities, on the given clients; it polls once `run()` is called. */
export function createOrderWorker(options: {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly clients: Parameters<typeof createOrderActivities>[0];
  /**
   * Present: it runs workflows and their local activities only, for a process that starts workflows on the same connection.
   * Other activities go to the workers without it.
   */
  readonly eager?: {
    /** Workflow tasks at once, at most. */
    readonly tasksMax: number;
    /** Called when an order is sold here in one step; its workflow ends with that. */
    readonly onSold: (itemId: ItemId) => void;
  };
  /** Activities of other workflows than those of orders. */
  readonly more?: Partial<AuditActivities & PaymentActivities & RefundActivities>;
  /** Only tests put something around the activities. */
  readonly wrap?: (activities: OrderActivities) => OrderActivities;
  /** Absent: the bundle that the build put beside the compiled code. */
  readonly workflowBundle?: string;
}): Promise<Worker> {
  const { connection, namespace, taskQueue, clients, more, wrap, eager } = options;
  const activities = createOrderActivities(clients);
  const steps = wrap ? wrap(activities) : activities;
  return Worker.create({
    connection,
    namespace,
    taskQueue,
    activities: {
      ...steps,
      ...createSellAtOnce(steps, eager?.onSold),
      ...more,
    },
    workflowBundle: {
      codePath: options.workflowBundle ?? join(__dirname, '..', 'workflow-bundle.js'),
    },
    maxCachedWorkflows: CACHED_WORKFLOWS_MAX,
    maxConcurrentWorkflowTaskExecutions: eager?.tasksMax ?? WORKFLOW_TASKS_MAX,
    enableNonLocalActivities: !eager,
    // The tasks that it polls for take slots from those that it gets with its starts.
    ...(eager && { maxConcurrentWorkflowTaskPolls: POLLS_BESIDE_STARTS }),
    maxConcurrentLocalActivityExecutions: LOCAL_ACTIVITIES_MAX,
    shutdownGraceTime: SHUTDOWN_GRACE_MS,
    shutdownForceTime: SHUTDOWN_GRACE_MS + 3_000,
  });
}

/** Runs a worker until the shutdown, which lets the tasks under way end; when it ends by itself, so does the process. */
export function runOrderWorker(
  worker: Worker,
  { onShutdown, fail }: Pick<Lifecycle, 'onShutdown' | 'fail'>,
): void {
  const running = worker.run();
  onShutdown('order worker', () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    return running;
  });
  running.catch(fail);
}
