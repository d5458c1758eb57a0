import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { withOrderReplayer, type OrderReplayer } from '../../engine/dead-letters/order-replayer';
import { OperatorError } from '../../engine/dead-letters/operator';
import { createOrderStarter } from '../../ingest/start-orders';
import { temporalAddress } from '../support/addresses';
import { eventually } from '../support/eventually';
import { anItem, anOrder, aPurchase } from '../support/purchases';

/** Nobody works on this queue but the tests themselves. */
const taskQueue = `nobody-${randomUUID()}`;
const REPLAY = { by: 'ann', why: 'the card was renewed', letterId: 'letter-1' };
let connection: Connection;
let client: Client;

beforeAll(async () => {
  connection = await Connection.connect({ address: temporalAddress() });
  client = new Client({ connection });
});
afterAll(() => connection.close());

const newOrder = () => anOrder(aPurchase({ itemId: anItem() }));
const atTemporal = <T>(use: (replayer: OrderReplayer) => Promise<T>) =>
  withOrderReplayer({ address: temporalAddress(), namespace: 'default', taskQueue }, use);

async function startedByIngest() {
  const order = newOrder();
  await createOrderStarter(client, taskQueue).start({ order });
  return order;
}

/** An order whose workflow has ended without a sale. */
async function anEndedOrder() {
  const order = await startedByIngest();
  await client.workflow.getHandle(order.requestId).terminate('failed, for a test');
  return order;
}

/** A second start within about a second of the first may be told to wait; the answer that counts comes after that. */
const startReplay = (replayer: OrderReplayer, order: ReturnType<typeof newOrder>) =>
  eventually('a definite answer', async () => ({
    runId: await replayer.start({ order }, REPLAY),
  }));

test('tells how an order stands', () =>
  atTemporal(async (replayer) => {
    await expect(replayer.look(newOrder())).resolves.toEqual({ kind: 'none' });
    const running = await startedByIngest();
    await expect(replayer.look(running)).resolves.toEqual({ kind: 'running' });
    const reused = anOrder({ ...running, amount: 7 });
    await expect(replayer.look(reused)).resolves.toEqual({ kind: 'other-order' });
    const ended = await anEndedOrder();
    await expect(replayer.look(ended)).resolves.toMatchObject({ kind: 'failed' });
    await client.workflow.getHandle(running.requestId).terminate('test over');
  }));

test('starts an order once, whoever else tries at the same time, findable as any other and with the reason', () =>
  atTemporal(async (replayer) => {
    const order = await anEndedOrder();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => startReplay(replayer, order)),
    );
    const won = answers.filter(({ runId }) => runId !== undefined);
    expect(won).toHaveLength(1);
    const handle = client.workflow.getHandle(order.requestId);
    const found = await handle.describe();
    expect(found).toMatchObject({
      runId: won[0]?.runId,
      taskQueue,
      memo: { fingerprint: order.fingerprint, replay: REPLAY },
      searchAttributes: { ItemId: [order.itemId], UserId: ['u1'] },
    });
    await expect(found.staticDetails()).resolves.toContain('ann: the card was renewed');
    await handle.terminate('test over');
  }));

test('never starts an order that was sold, however late the replay comes', () =>
  atTemporal(async (replayer) => {
    const order = await startedByIngest();
    await complete();
    await expect(replayer.look(order)).resolves.toEqual({ kind: 'sold' });
    await expect(startReplay(replayer, order)).resolves.toEqual({ runId: undefined });
  }));

test('says in one sentence that nobody answers', async () => {
  const nobody = { address: '127.0.0.1:1', namespace: 'default', taskQueue };
  const asked = withOrderReplayer(nobody, () => Promise.resolve());
  await expect(asked).rejects.toThrow(/^Temporal at 127.0.0.1:1 gives no answer$/);
  await expect(asked).rejects.toBeInstanceOf(OperatorError);
});

/** temporal.api.enums.v1.CommandType: complete workflow execution. */
const COMPLETE_WORKFLOW = 4;

const TASK_MS_MAX = 15_000;

/** Does the work of a worker: ends the one workflow whose task waits in the queue. */
function complete(): Promise<unknown> {
  const { workflowService } = connection;
  return connection.withDeadline(Date.now() + TASK_MS_MAX, async () => {
    const queue = { namespace: 'default', taskQueue: { name: taskQueue }, identity: 'test' };
    const { taskToken } = await workflowService.pollWorkflowTaskQueue(queue);
    const commands = [
      { commandType: COMPLETE_WORKFLOW, completeWorkflowExecutionCommandAttributes: {} },
    ];
    return workflowService.respondWorkflowTaskCompleted({ ...queue, taskToken, commands });
  });
}
