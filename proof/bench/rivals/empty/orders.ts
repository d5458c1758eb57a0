import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import {
  bundleWorkflowCode,
  DefaultLogger,
  Worker,
  type NativeConnection,
} from '@temporalio/worker';
import type { Order } from '../../../../engine/orders/order';
import { orderStartOptions } from '../../../../engine/orders/order-start';

/** As ingest has it. */
const STARTS_AT_ONCE = 20;
/** As the order worker has it. */
const CACHED_WORKFLOWS_MAX = 1_000;
const COUNT_EVERY_MS = 100;

/** So many empty workflows, and the first part of their ids. */
export interface EmptyRun {
  readonly prefix: string;
  readonly count: number;
}

export interface EmptyOrders {
  /** Starts them and waits until the last one is over. Answers how long that took. */
  readonly run: (run: EmptyRun) => Promise<{ tookMs: number }>;
  readonly stop: () => Promise<void>;
}

/** Runs workflows that do nothing, started with the options of real orders through the same kind of client. */
export async function createEmptyOrders(
  connection: NativeConnection,
  namespace: string,
  taskQueue: string,
): Promise<EmptyOrders> {
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: join(__dirname, 'workflow.js'),
    logger: new DefaultLogger('WARN'),
  });
  const worker = await Worker.create({
    ...{ connection, namespace, taskQueue, workflowBundle },
    maxCachedWorkflows: CACHED_WORKFLOWS_MAX,
  });
  const running = worker.run();
  const client = new Client({ connection, namespace });
  const query = `TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running'`;

  return {
    run: async ({ prefix, count }) => {
      const startedAt = performance.now();
      let next = 0;
      const work = async () => {
        while (next < count) {
          const order = anOrder(`${prefix}-${next++}`);
          const options = orderStartOptions({ order }, taskQueue, { kind: 'first' });
          await client.workflow.start('emptyWorkflow', { ...options, args: [] });
        }
      };
      await Promise.all(Array.from({ length: STARTS_AT_ONCE }, work));
      while ((await client.workflow.count(query)).count > 0) await sleep(COUNT_EVERY_MS);
      return { tookMs: performance.now() - startedAt };
    },
    stop: async () => {
      worker.shutdown();
      await running;
    },
  };
}

function anOrder(requestId: string): Order {
  return {
    ...{ requestId, userId: 'u-1', itemId: 'bench', amount: 1, priceMinor: 1000, currency: 'USD' },
    ...{ fingerprint: 'bench', acceptedAt: Date.now() },
  } as Order;
}
