import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { engineProgram } from '../../stack/engine';
import { freePorts } from '../../stack/settings';
import { spawnGuarded } from '../../stack/guarded-process';
import { itemKeys } from '../../engine/stock/keys';
import { readCharges } from '../../client/snapshot';
import { redisAddr, temporalAddress } from '../support/addresses';
import { whenIdle } from '../support/balance';
import { buy, getJson } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';
import { anItem } from '../support/purchases';
import { redisStockOn } from '../support/redis-stock';
import { temporalCli } from '../support/temporal-cli';

const ROOT = join(__dirname, '..', '..');
/** Longer than a test takes to step in, shorter than its patience. */
const SLOW_MS = 5_000;
const SLOW_RULES = [{ kind: 'slow', operation: 'charge', delayMs: SLOW_MS, keyPrefix: 'slow' }];

let engine: Engine;
let connection: Connection;
beforeAll(async () => {
  connection = await Connection.connect({ address: temporalAddress() });
  engine = await startEngine();
}, 90_000);
afterAll(async () => {
  await engine.stop();
  await connection.close();
}, 60_000);

/** An accepted order of a fresh item with three units; one whose name begins with `slow` is charged slowly. */
async function anOrder(name: string, gateway = engine.gateway) {
  const itemId = anItem();
  // Its ledger is open already: a gateway without Temporal cannot open one.
  await redisStockOn(engine.redis).setFree(itemId, 3);
  const request_id = `${name}-${itemId}`;
  await misbehave({ declineRate: 0, rules: SLOW_RULES });
  const answer = await buy(gateway, { user_id: 'u1', item_id: itemId, amount: 1, request_id });
  expect(answer.status).toBe(202);
  return { itemId, request_id };
}
type Order = Awaited<ReturnType<typeof anOrder>>;

async function misbehave(misbehaviour: object): Promise<void> {
  const response = await fetch(`${engine.payments}/misbehaviour`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(misbehaviour),
  });
  expect(response.status).toBe(200);
}

/** Asks again as long as the answer is 202: a run that is slow to react is still on its way. */
async function cancel({ request_id }: Order, gateway = engine.gateway, user = 'u1') {
  const url = `${gateway}/orders/${request_id}?user_id=${user}`;
  return eventually(`the cancellation of ${request_id} has a result`, async () => {
    const response = await fetch(url, { method: 'DELETE' });
    const body = (await response.json()) as Record<string, unknown>;
    return response.status !== 202 && { status: response.status, body };
  });
}

const becomes = ({ request_id }: Order, wanted: string) =>
  eventually(`${request_id} is ${wanted}`, async () => {
    const { status } = await getJson(`${engine.gateway}/orders/${request_id}`);
    return status === wanted;
  });

/** Nothing of the order is left but its name. */
async function expectGivenBack({ itemId, request_id }: Order): Promise<void> {
  expect(await whenIdle(engine, itemId)).toMatchObject({ free: 3, sold: 0, supply: 3 });
  const charges = await readCharges(engine.payments, request_id);
  expect(charges.filter(({ status }) => status === 'captured')).toEqual([]);
}

test('a buyer can cancel an order while it is being charged, but not once it is confirmed', async () => {
  const slow = await anOrder('slow');
  await becomes(slow, 'reserved');
  expect((await cancel(slow, engine.gateway, 'u2')).status).toBe(403);
  expect(await cancel(slow)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  await expectGivenBack(slow);

  const quick = await anOrder('quick');
  await becomes(quick, 'confirmed');
  const { status, body } = await cancel(quick);
  expect([status, body['type'], body['reason']]).toEqual([
    ...[409, '/problems/too-late-to-cancel', 'confirmed'],
  ]);
  expect(await whenIdle(engine, quick.itemId)).toMatchObject({ free: 2, sold: 1 });
});

test('an order that is cancelled before ingest reads it is never charged, and its run ends as cancelled', async () => {
  await engine.process.ingest.kill('SIGSTOP');
  const order = await anOrder('unread');
  const answer = await cancel(order);
  await engine.process.ingest.kill('SIGCONT');
  expect(answer).toMatchObject({ status: 200, body: { status: 'cancelled', generation: 0 } });
  const handle = new Client({ connection }).workflow.getHandle(order.request_id);
  await eventually('its workflow is started', () => handle.describe());
  expect(await handle.result()).toEqual({ outcome: 'cancelled' });
  expect(await readCharges(engine.payments, order.request_id)).toEqual([]);
  await expectGivenBack(order);
  const letters = await flashSale(engine, 'dlq', 'ls', '--item', order.itemId, '--json');
  expect(letters.json()).toEqual([]);
});

/** An order of a registered item, whose ledger can be lost. */
async function anAcceptedOrder(name: string): Promise<Order> {
  const itemId = anItem();
  const request_id = `${name}-${itemId}`;
  await misbehave({ declineRate: 0, rules: SLOW_RULES });
  await engine.redis.set(`inventory:${itemId}`, 3);
  const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id };
  expect((await buy(engine.gateway, body)).status).toBe(202);
  return { itemId, request_id };
}

/** Takes everything of the item from Redis, and lets an operator say how it goes on. */
async function loseLedger({ itemId, request_id }: Order, ...words: string[]): Promise<void> {
  await engine.redis.del(...itemKeys(itemId), `idempotency:${request_id}`);
  await engine.redis.set(`inventory:${itemId}`, 3);
  const [command = '', ...units] = words;
  const why = ['--why', 'Redis was lost'];
  const mended = await flashSale(engine, 'stock', command, itemId, ...units, ...why);
  expect(mended).toMatchObject({ code: 0 });
}

describe.each([
  ['rebuilt', ['rebuild', '--supply', '3', '--no-archive']],
  ['opened as it stands', ['open']],
])('an order stays cancelled when its ledger is lost and %s', (_, words) => {
  test('before ingest has read its record', async () => {
    await engine.process.ingest.kill('SIGSTOP');
    const order = await anAcceptedOrder('unread');
    const answer = await cancel(order);
    await loseLedger(order, ...words).finally(() => engine.process.ingest.kill('SIGCONT'));
    expect(answer.status).toBe(200);
    const handle = new Client({ connection }).workflow.getHandle(order.request_id);
    await eventually('its workflow is started', () => handle.describe());
    expect(await handle.result()).toEqual({ outcome: 'cancelled' });
    expect(await readCharges(engine.payments, order.request_id)).toEqual([]);
    await expectGivenBack(order);
    expect(await cancel(order)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  });

  test('and its run, which it was cancelled from, is reset', async () => {
    const order = await anAcceptedOrder('slow');
    await becomes(order, 'reserved');
    expect((await cancel(order)).status).toBe(200);
    const handle = new Client({ connection }).workflow.getHandle(order.request_id);
    await handle.result().catch(() => undefined);
    await loseLedger(order, ...words);
    const which = ['--workflow-id', order.request_id, '--type', 'FirstWorkflowTask'];
    await temporalCli('workflow', 'reset', ...which, '--reason', 'a test');
    await handle.result().catch(() => undefined);
    await expectGivenBack(order);
    expect(await cancel(order)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  });
});

test('the command cancels an order, and reports when it is too late', async () => {
  const slow = await anOrder('slow');
  await becomes(slow, 'reserved');
  const ran = await flashSale(engine, 'cancel', slow.request_id, '--user', 'u1', '--json');
  expect([ran.code, ran.json()]).toMatchObject([0, { status: 'cancelled' }]);
  await expectGivenBack(slow);

  const quick = await anOrder('quick');
  await becomes(quick, 'confirmed');
  const late = await flashSale(engine, 'cancel', quick.request_id, '--user', 'u1');
  expect([late.code, late.out]).toEqual([1, expect.stringContaining('409 too-late-to-cancel')]);
});

test('a gateway whose Temporal is away starts and sells, cancels what is queued, and answers 503 for what is reserved', async () => {
  const { gateway: port, admin: adminPort } = await freePorts();
  const program = engineProgram(ROOT, 'api', {
    port,
    adminPort,
    env: {
      ...process.env,
      REDIS_ADDR: redisAddr().replace('redis://', ''),
      ORDERS_TOPIC: engine.topics.ordersTopic,
      CANCELLATIONS_TOPIC: engine.topics.cancellationsTopic,
      PAYMENT_URL: engine.payments,
      // Nobody listens there.
      TEMPORAL_ADDRESS: '127.0.0.1:1',
    },
    logFile: join(process.env['TEST_DATA_DIR'] ?? join(ROOT, 'var'), 'api-alone.log'),
  });
  const alone = spawnGuarded(ROOT, program);
  try {
    await eventually('the gateway is open', async () => {
      await program.probe();
      return true;
    });
    const slow = await anOrder('slow', program.url);
    await becomes(slow, 'reserved');
    const answer = await cancel(slow, program.url);
    expect([answer.status, answer.body['type']]).toEqual([503, '/problems/outcome-unknown']);
    // The other gateway has its Temporal: asking again is safe.
    expect(await cancel(slow)).toMatchObject({ status: 200 });
    await expectGivenBack(slow);

    await engine.process.ingest.kill('SIGSTOP');
    const queued = await anOrder('unread', program.url);
    const cancelled = await cancel(queued, program.url);
    await engine.process.ingest.kill('SIGCONT');
    expect(cancelled.status).toBe(200);
    await expectGivenBack(queued);
  } finally {
    await alone.stop(program.stopMsMax);
  }
});
