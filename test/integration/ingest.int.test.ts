import { randomUUID } from 'node:crypto';
import { Client } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import type { Order } from '../../engine/orders/order';
import { createOrderStarter } from '../../ingest/start-orders';
import { startConsumer } from '../../engine/kafka/consumer';
import { createDeadLetterWriter, readDeadLetters } from '../../engine/kafka/dead-letters';
import { encodeOrder } from '../../engine/orders/order-record';
import { ORDERS_PARTITIONS } from '../../engine/kafka/topics';
import { ORDER_WORKFLOW } from '../../engine/orders/contract';
import { createTestIngest } from '../ingest/fakes';
import { logger, useRealLog } from '../engine/kafka/real-log';
import { temporalAddress } from '../support/addresses';
import { eventually } from '../support/eventually';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';

const log = useRealLog();
/** No worker polls this queue: the workflows only have to exist. */
const taskQueue = `no-worker-${randomUUID()}`;
const started: string[] = [];
let connection: NativeConnection;
let client: Client;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  connection = await NativeConnection.connect({ address: temporalAddress() });
  client = new Client({ connection });
});

afterEach(async () => {
  await log.closeAll();
  for (const id of started.splice(0)) await client.workflow.getHandle(id).terminate('test over');
});
afterAll(() => connection.close());

function track(order: Order): Order {
  started.push(order.requestId);
  return order;
}

const newOrder = () => track(anOrder(anAttempt(aPurchase({ itemId: anItem() }))));

describe('createOrderStarter, on a real Temporal', () => {
  test('starts a workflow that can be found by its item and buyer', async () => {
    const starter = createOrderStarter(client, taskQueue);
    const order = newOrder();
    await expect(starter.start({ order })).resolves.toEqual({ kind: 'started', isEager: false });
    const found = await client.workflow.getHandle(order.requestId).describe();
    expect(found).toMatchObject({
      type: ORDER_WORKFLOW,
      taskQueue,
      memo: { fingerprint: order.fingerprint },
      searchAttributes: { ItemId: [order.itemId], UserId: ['u1'] },
    });
    await expect(found.staticSummary()).resolves.toBe(`${order.itemId} ×1 for u1`);
  });

  test('finds the order that has the id already, also after its workflow has ended', async () => {
    const starter = createOrderStarter(client, taskQueue);
    const order = newOrder();
    await starter.start({ order });
    const { fingerprint, orderId } = order;
    const exists = { kind: 'exists', fingerprint, orderId, isClosed: false };
    const other = anOrder({ ...order, amount: 2 });
    await eventually('the id known', async () => {
      const answer = await starter.start({ order: other }).catch(() => undefined);
      return JSON.stringify(answer) === JSON.stringify(exists);
    });
    await client.workflow.getHandle(order.requestId).terminate('ended');
    started.pop();
    await eventually('the id remembered', async () => {
      const answer = await starter.start({ order }).catch(() => undefined);
      return JSON.stringify(answer) === JSON.stringify({ ...exists, isClosed: true });
    });
  });

  test('finds the order of a workflow that was started by hand, without a memo', async () => {
    const starter = createOrderStarter(client, taskQueue);
    const order = newOrder();
    const byHand = { workflowId: order.requestId, taskQueue, args: [{ order }] };
    await client.workflow.start(ORDER_WORKFLOW, byHand);
    await eventually('the order known', async () => {
      const answer = await starter.start({ order }).catch(() => undefined);
      return answer?.kind === 'exists' && answer.fingerprint === order.fingerprint;
    });
  });

  test('accepts ids of the maximum length', async () => {
    const starter = createOrderStarter(client, taskQueue);
    const long = (first: string) => first.padEnd(128, 'x');
    const ids = { userId: long('u'), itemId: long('i') };
    const order = track(anOrder(aPurchase({ ...ids, requestId: long(`r-${randomUUID()}`) })));
    await expect(starter.start({ order })).resolves.toEqual({ kind: 'started', isEager: false });
  });

  test('counts the orders under way', async () => {
    const starter = createOrderStarter(client, taskQueue);
    await starter.start({ order: newOrder() });
    await eventually('the workflow counted', async () => (await starter.countOpen()) > 0);
  });
});

describe('ingest, from Kafka to Temporal', () => {
  test('starts valid records, writes dead letters for the others, and stops for neither', async () => {
    const { ordersTopic, deadLetterTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const letters = createDeadLetterWriter(await log.producer(deadLetterTopic, 1));
    const starter = createOrderStarter(client, taskQueue);
    const ingest = createTestIngest({ starter, deadLetters: letters });

    // One key, so one partition: a record that is stuck would hold up those after it.
    const append = (value: Buffer) => producer.append({ key: 'one', value });
    const first = newOrder();
    const reused = anOrder({ ...first, amount: 3 });
    const last = newOrder();
    await append(encodeOrder(first));
    await append(Buffer.from('poison'));
    await append(encodeOrder(reused));
    await append(encodeOrder(first));
    await append(encodeOrder(last));

    const consumer = await startConsumer({
      kafka: log.kafka(),
      topic: ordersTopic,
      groupId: randomUUID(),
      logger,
      handler: ingest.handler,
      onDead: () => undefined,
    });
    log.closing.push(() => consumer.stop());

    await eventually('all five finished', () => ingest.outcomes.length === 5);
    expect(ingest.outcomes.sort()).toEqual(
      ['started', 'started', 'repeated', 'invalid-record', 'request-id-reused'].sort(),
    );
    const read = await readDeadLetters(log.kafka(), deadLetterTopic);
    expect(read.map(({ reason, source }) => `${reason} ${source?.offset}`).sort()).toEqual([
      'invalid-record 1',
      'request-id-reused 2',
    ]);
    expect(ingest.givenBack).toEqual([
      `${first.requestId} ${first.itemId} ${reused.fingerprint} request-id-reused`,
    ]);
  });
});
