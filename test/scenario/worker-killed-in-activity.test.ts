import { Client, Connection } from '@temporalio/client';
import { Redis } from 'ioredis';
import { createKafka } from '../../engine/kafka/kafka-client';
import { readDeadLetters } from '../../engine/kafka/dead-letters';
import { ensureTopics, saleTopics, withAdmin } from '../../engine/kafka/topics';
import { createStockLedger } from '../../engine/stock/stock-ledger';
import { kafkaAddrs, redisAddr, temporalAddress } from '../support/addresses';
import { openResponseGate, type ResponseGate } from '../support/response-gate';
import { expectBalance } from '../support/balance';
import { buy } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { anItem, anOrder, aPurchase } from '../support/purchases';

/** In which step the orders of a group are when the worker is hit. */
const GROUPS = ['charge', 'refund', 'release', 'letter'] as const;
type Group = (typeof GROUPS)[number];
const ACTIVITIES = {
  charge: 'chargePayment',
  refund: 'refundPayment',
  release: 'releaseStock',
  letter: 'deadLetter',
} as const satisfies Record<Group, string>;
const ORDERS_EACH = 2;
const SUPPLY = 10;
/** Longer than a charge at once is waited for, so that the test can step in while the regular one is under way. */
const SLOW_MS = 4_000;

interface Scene {
  readonly engine: Engine;
  readonly redisGate: ResponseGate;
  /** Past the gate: what took effect is to be seen while its answers are held back. */
  readonly redis: Redis;
  readonly temporal: Client;
  readonly itemId: ReturnType<typeof anItem>;
}
type Body = ReturnType<typeof bodiesOf>[number];

let connection: Connection;
const scenes: Scene[] = [];
let rounds: Record<'killed' | 'stopped', Promise<Awaited<ReturnType<typeof round>>>>;
beforeAll(async () => {
  connection = await Connection.connect({ address: temporalAddress() });
  // Both at once, each on an engine of its own: nearly all of it is waiting for attempts to be given up.
  rounds = { killed: round(killed), stopped: round(stopped) };
  await Promise.allSettled(Object.values(rounds));
}, 150_000);
afterAll(async () => {
  await Promise.all(scenes.map(({ engine }) => engine.stop()));
  await Promise.all(scenes.map(({ redis }) => redis.quit()));
  await Promise.all(scenes.map(({ redisGate }) => redisGate.close()));
  await connection.close();
}, 60_000);

describe('a worker that is killed or stopped inside charge, refund, release and dead letter', () => {
  test.each([
    ['is killed and started again', 'killed'],
    ['is stopped until each attempt was given up, and goes on', 'stopped'],
  ] as const)(
    '%s: every order has one outcome and is charged once or not at all',
    async (_, how) => {
      const { balance, letters } = await rounds[how];
      expect(balance).toEqual({ confirmed: ORDERS_EACH, failed: 3 * ORDERS_EACH });
      expect(letters).toEqual([
        ...['letter-0', 'letter-1'].map((id) => `${id} payment-declined`),
        ...['refund-0', 'refund-1'].map((id) => `${id} sale-lost`),
        ...['release-0', 'release-1'].map((id) => `${id} payment-declined`),
      ]);
    },
  );
});

/** Kills the worker, mends the world around it, starts it again. */
async function killed({ engine }: Scene, mend: () => Promise<void>): Promise<void> {
  await engine.process.worker.kill('SIGKILL');
  await mend();
  await engine.process.worker.restart();
}

/** Stops the worker for longer than any attempt in hand may take: what it does then, it does beside its own retries. */
async function stopped(scene: Scene, mend: () => Promise<void>, bodies: readonly Body[]) {
  const { worker } = scene.engine.process;
  await worker.kill('SIGSTOP');
  const before = await Promise.all(bodies.map((body) => pendingOf(scene, body)));
  await mend();
  await eventually(
    'every attempt is given up',
    async () => {
      const now = await Promise.all(bodies.map((body) => pendingOf(scene, body)));
      return now.every(
        (pending, i) => !pending?.started || pending.attempt > (before[i]?.attempt ?? 0),
      );
    },
    40_000,
  );
  await worker.kill('SIGCONT');
}

/** Brings two orders into each step, hits the worker there, and holds the books against each other afterwards. */
async function round(
  hit: (scene: Scene, mend: () => Promise<void>, bodies: readonly Body[]) => Promise<void>,
) {
  const scene = await setScene();
  const { engine, itemId, redisGate } = scene;
  const bodies = GROUPS.flatMap((group) => bodiesOf(itemId, group));
  await bringInside(scene);
  await hit(
    scene,
    async () => {
      redisGate.letThrough();
      await misbehave(engine, { declineRate: 0 });
      await ensureTopics(kafkaAddrs(), saleTopics(engine.topics));
    },
    bodies,
  );
  await eventually(
    'every workflow is closed',
    async () => {
      const open = await Promise.all(bodies.map((body) => isOpen(scene, body)));
      return open.every((one) => !one);
    },
    90_000,
  );
  const balance = await expectBalance(engine, { itemId, supply: SUPPLY, accepted: bodies });
  const kafka = createKafka('test', kafkaAddrs());
  const letters = await readDeadLetters(kafka, engine.topics.deadLetterTopic);
  return {
    balance,
    letters: letters
      .map(
        ({ requestId, reason }) => `${requestId?.slice(itemId.length + 1) ?? 'unknown'} ${reason}`,
      )
      .sort(),
  };
}

async function setScene(): Promise<Scene> {
  const redisGate = await openResponseGate(redisAddr().replace('redis://', ''));
  const engine = await startEngine({ REDIS_ADDR: redisGate.address });
  const redis = new Redis(redisAddr());
  const temporal = new Client({ connection });
  const scene = { engine, redisGate, redis, temporal, itemId: anItem() };
  scenes.push(scene);
  await engine.redis.set(`inventory:${scene.itemId}`, SUPPLY);
  return scene;
}

/** Returns when every order is in the step that its group is named after, with its effect made and not told. */
async function bringInside(scene: Scene): Promise<void> {
  const { engine, itemId, redisGate } = scene;
  const prefix = (group: Group) => ({ keyPrefix: `${itemId}-${group}-` });
  await misbehave(engine, {
    declineRate: 0,
    rules: [
      { kind: 'hang-after', ...prefix('charge') },
      { kind: 'hang-before', operation: 'find', ...prefix('charge') },
      { kind: 'slow', delayMs: SLOW_MS, ...prefix('refund') },
      { kind: 'hang-after', operation: 'refund', ...prefix('refund') },
      { kind: 'decline', delayMs: SLOW_MS, ...prefix('release') },
      { kind: 'decline', ...prefix('letter') },
    ],
  });
  // A letter cannot be delivered as long as its topic is away.
  await withAdmin(createKafka('test', kafkaAddrs()), (admin) =>
    admin.deleteTopics({ topics: [engine.topics.deadLetterTopic] }),
  );
  await buyAll(scene, 'letter');
  await buyAll(scene, 'refund');
  await inStep(scene, 'refund', 'chargePayment');
  // Somebody gives the units up while they are paid for: the sale is lost, and the charge is to be refunded.
  const ledger = createStockLedger(scene.redis);
  for (const { request_id } of bodiesOf(itemId, 'refund')) {
    const order = anOrder(aPurchase({ requestId: request_id, itemId }));
    await ledger.release({ order, fence: Date.now() + 60_000, reason: 'sale-lost' });
  }
  await buyAll(scene, 'charge');
  await inStep(scene, 'refund', ACTIVITIES.refund);
  await inStep(scene, 'charge', ACTIVITIES.charge);
  await inStep(scene, 'letter', ACTIVITIES.letter);
  await buyAll(scene, 'release');
  await inStep(scene, 'release', 'chargePayment');
  redisGate.hold();
  await inStep(scene, 'release', ACTIVITIES.release);
  await eventually('the units of the release group are back', async () => {
    const found = await Promise.all(
      bodiesOf(itemId, 'release').map(({ request_id }) => ledger.findOrder(request_id)),
    );
    return found.every((order) => order?.entry.state === 'released');
  });
}

function bodiesOf(itemId: string, group: Group) {
  return Array.from({ length: ORDERS_EACH }, (_, i) => {
    const { requestId: request_id } = aPurchase({ requestId: `${itemId}-${group}-${String(i)}` });
    return { user_id: 'u1', item_id: itemId, amount: 1, request_id };
  });
}

async function buyAll({ engine, itemId }: Scene, group: Group): Promise<void> {
  const answers = await Promise.all(
    bodiesOf(itemId, group).map((body) => buy(engine.gateway, body)),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
}

function inStep(scene: Scene, group: Group, activity: string) {
  return eventually(`the orders of group ${group} are in ${activity}`, async () => {
    const pending = await Promise.all(
      bodiesOf(scene.itemId, group).map((body) => pendingOf(scene, body)),
    );
    return pending.every((one) => one?.activity === activity);
  });
}

const STARTED = 2;

/** The regular activity that an order waits for; undefined when there is none. */
async function pendingOf({ temporal }: Scene, { request_id }: Body) {
  const { raw } = await temporal.workflow.getHandle(request_id).describe();
  const pending = raw.pendingActivities?.[0];
  if (!pending) return undefined;
  return {
    activity: pending.activityType?.name,
    attempt: pending.attempt ?? 1,
    started: Number(pending.state) === STARTED,
  };
}

async function isOpen({ temporal }: Scene, { request_id }: Body): Promise<boolean> {
  const { status } = await temporal.workflow.getHandle(request_id).describe();
  return status.name === 'RUNNING';
}

async function misbehave(engine: Engine, misbehaviour: object): Promise<void> {
  const response = await fetch(`${engine.payments}/misbehaviour`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(misbehaviour),
  });
  expect(response.status).toBe(200);
}
