import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, Worker, type InjectedSinks } from '@temporalio/worker';
import type { Order } from '../../../engine/orders/order';
import { orderStartOptions } from '../../../engine/orders/order-start';
import { createLogger } from '../../../platform/logger';
import { connectTemporal, installTemporalRuntime } from '../../../platform/temporal';
import type { EmptyWorkflowSinks } from './empty-workflow';

/** As ingest has it. */
const STARTS_AT_ONCE = 20;
/** As the order worker has it. */
const CACHED_WORKFLOWS_MAX = 1_000;
const COUNT_EVERY_MS = 20;

/**
 * Runs workflows that do nothing, started with the options of real orders through the same kind of client. Each message
 * says how many and the first part of their ids; the reply says how long all of them took.
 */
export async function serveEmptyOrders(args: readonly string[]): Promise<void> {
  const [address = '', namespace = '', taskQueue = ''] = args;
  installTemporalRuntime(createLogger('empty', 'warn'));
  const connection = await connectTemporal({ address, namespace });
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: join(__dirname, 'empty-workflow.js'),
    logger: new DefaultLogger('WARN'),
  });
  let ran = 0;
  const sinks: InjectedSinks<EmptyWorkflowSinks> = {
    ran: {
      tell: {
        fn: () => {
          ran++;
        },
      },
    },
  };
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    workflowBundle,
    sinks,
    maxCachedWorkflows: CACHED_WORKFLOWS_MAX,
  });
  const running = worker.run();
  const client = new Client({ connection, namespace });

  const run = async ({ prefix, count }: { prefix: string; count: number }) => {
    const startedAt = performance.now();
    let next = 0;
    ran = 0;
    const startWorkflows = async () => {
      while (next < count) {
        const order = anOrder(`${prefix}-${next++}`);
        const options = orderStartOptions({ order }, taskQueue, { kind: 'first' });
        const eager = { ...options, args: [], requestEagerStart: true };
        await client.workflow.start('emptyWorkflow', eager);
      }
    };
    await Promise.all(Array.from({ length: STARTS_AT_ONCE }, startWorkflows));
    while (ran < count) await sleep(COUNT_EVERY_MS);
    return { tookMs: performance.now() - startedAt };
  };
  process.on('message', (message: { prefix: string; count: number }) => {
    void run(message).then((result) => process.send?.(result));
  });
  process.on('disconnect', () => {
    worker.shutdown();
    void running.then(() => process.exit());
  });
}

function anOrder(requestId: string): Order {
  return {
    requestId,
    userId: 'u-1',
    itemId: 'bench',
    amount: 1,
    priceMinor: 1000,
    currency: 'USD',
    fingerprint: 'bench',
    acceptedAt: Date.now(),
  } as Order;
}
