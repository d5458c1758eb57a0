import { join } from 'node:path';
import { Worker, type NativeConnection } from '@temporalio/worker';

/**
 * Open orders whose workflows stay in memory. More than ingest lets run at once by default (500 of them), at about
 * 60 KB each; the SDK's own default follows the heap size and has been seen to end the process.
 */
const CACHED_WORKFLOWS_MAX = 1_000;

/**
 * Workflow tasks in hand at once. An order's first task waits for Redis and the provider and keeps its place all the while,
 * so there must be as many as charges may be under way: with the SDK's 40 a provider that answers after 3 s would let a
 * worker do 13 orders/s, whatever its cores. Each task has one local activity at a time.
 */
const WORKFLOW_TASKS_MAX = 200;

/** Longer than the longest activity attempt but one: a payment in hand (10 s) ends before the worker does. */
const SHUTDOWN_GRACE_MS = 12_000;

export interface OrderWorkerOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly activities: object;
  /** Absent: the bundle that the build put beside the compiled code. */
  readonly workflowBundle?: string;
}

/** A worker for order workflows and their activities; it polls once `run()` is called. */
export function createOrderWorker(options: OrderWorkerOptions): Promise<Worker> {
  const { connection, namespace, taskQueue, activities } = options;
  return Worker.create({
    connection,
    namespace,
    taskQueue,
    activities,
    workflowBundle: {
      codePath: options.workflowBundle ?? join(__dirname, '..', 'workflow-bundle.js'),
    },
    maxCachedWorkflows: CACHED_WORKFLOWS_MAX,
    maxConcurrentWorkflowTaskExecutions: WORKFLOW_TASKS_MAX,
    maxConcurrentLocalActivityExecutions: WORKFLOW_TASKS_MAX,
    shutdownGraceTime: SHUTDOWN_GRACE_MS,
    shutdownForceTime: SHUTDOWN_GRACE_MS + 3_000,
  });
}
