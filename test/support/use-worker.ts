import { randomUUID } from 'node:crypto';
import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { createOrderWorker } from '../../activities/order-worker';
import { createRefundActivities } from '../../activities/refund-activities';
import { temporalAddress, workflowBundle } from './addresses';
import { installQuietRuntime } from './quiet-runtime';

export interface RunningWorker {
  readonly taskQueue: string;
  readonly client: Client;
}

type WorkerOptions = Parameters<typeof createOrderWorker>[0];

/** Runs the real worker in this test file, on a task queue of its own. The clients are made after earlier `beforeAll`s. */
export function useWorker(
  makeClients: () => WorkerOptions['clients'],
  wrap: NonNullable<WorkerOptions['wrap']>,
  makeAfterSale?: () => Parameters<typeof createRefundActivities>[0],
): RunningWorker {
  const running = { taskQueue: `test-${randomUUID()}` } as { taskQueue: string; client: Client };
  const undo: (() => Promise<unknown>)[] = [];
  let starting: Promise<void> | undefined;

  async function start() {
    installQuietRuntime();
    const connection = await NativeConnection.connect({ address: temporalAddress() });
    undo.unshift(() => connection.close());
    running.client = new Client({ connection });
    const worker = await createOrderWorker({
      connection,
      namespace: 'default',
      taskQueue: running.taskQueue,
      clients: makeClients(),
      wrap,
      ...(makeAfterSale && { more: createRefundActivities(makeAfterSale()) }),
      workflowBundle: workflowBundle(),
    });
    const run = worker.run();
    undo.unshift(() => {
      worker.shutdown();
      return run;
    });
  }

  beforeAll(() => (starting = start()));
  afterAll(async () => {
    // If the start failed, the tests have failed already. What it opened still has to be closed.
    await Promise.allSettled([starting]);
    for (const step of undo) await step();
  }, 30_000);
  return running;
}
