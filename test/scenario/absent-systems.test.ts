/** The engine's processes while Redis, Kafka and Temporal, all real, are not there yet, or are frozen. */
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startKafka } from '../../stack/components/kafka';
import { startRedis } from '../../stack/components/redis';
import { startTemporal } from '../../stack/components/temporal';
import { freePorts } from '../../stack/settings';
import { startBuiltProcess, type BuiltProcess } from '../support/built-process';
import { buy, insist } from '../support/buyers';
import { eventually } from '../support/eventually';
import { redisStockOn, type RedisStock } from '../support/redis-stock';
import type { ItemId } from '../../engine/orders/order';
import { createTestComponents, type TestComponents } from '../support/secured/test-components';

// Each test waits for conditions, on a machine that starts several servers meanwhile.
jest.setTimeout(300_000);

const ITEM = 'item-1' as ItemId;
const SUPPLY = 20;
/** A new Kafka, and a consumer that joins its group, take half a minute on a busy machine. */
const READY_MS_MAX = 90_000;

const soon = <T>(what: string, ask: () => Promise<T | undefined | false> | T | undefined | false) =>
  eventually(what, ask, READY_MS_MAX);

let systems: TestComponents;
let env: NodeJS.ProcessEnv;
let stock: RedisStock | undefined;
let api: BuiltProcess;
let ingest: BuiltProcess;
let worker: BuiltProcess;
const started: BuiltProcess[] = [];

beforeAll(async () => {
  systems = await createTestComponents('absent');
  const { ports } = systems.context.settings;
  env = {
    PATH: process.env['PATH'],
    REDIS_ADDR: `127.0.0.1:${String(ports.redis)}`,
    KAFKA_ADDR: `127.0.0.1:${String(ports.kafka)}`,
    TEMPORAL_ADDRESS: `127.0.0.1:${String(ports.temporal)}`,
    PAYMENT_URL: `http://127.0.0.1:${String(ports.payment)}`,
    PAYMENT_LEDGER_FILE: join(systems.dataDir, 'payments.jsonl'),
    PAYMENT_DECLINE_RATE: '0',
    AUDIT_EVERY: '0',
    ADMIN_PORT: String(ports.admin),
  };
  start('engine/payments/simulator/main.js', ports.payment);
  api = start('api/main.js', ports.gateway);
  ingest = start('ingest/main.js', ports.ingest);
  worker = start('worker/main.js', ports.worker);
});
afterAll(async () => {
  for (const name of ['kafka', 'temporal', 'redis']) signal(name, 'SIGCONT');
  await Promise.all(started.map((one) => one.kill()));
  stock?.redis.disconnect();
  await systems.stop();
}, 60_000);

function start(main: string, port: number, own: NodeJS.ProcessEnv = {}): BuiltProcess {
  const one = startBuiltProcess(main, port, { ...env, ...own });
  started.push(one);
  return one;
}

async function startAnother(main: string): Promise<BuiltProcess> {
  const { gateway, admin } = await freePorts();
  return start(main, gateway, { ADMIN_PORT: String(admin) });
}

function signal(name: string, what: NodeJS.Signals): void {
  const pid = systems.pidOf(name);
  if (!Number.isNaN(pid)) process.kill(pid, what);
}

const isAlive = async (one: BuiltProcess) => (await one.get('/livez')).status === 200;
const hasStatus = (one: BuiltProcess, status: number) => async () =>
  (await one.get('/readyz')).status === status;
const order = (name: string) => ({
  user_id: `u-${name}`,
  item_id: ITEM,
  amount: 1,
  request_id: name,
});
const itemAt = async (one: BuiltProcess) => (await one.get(`/items/${ITEM}`)).body;

const REFUSED = [503, '/problems/not-accepted'];
async function buyAt(one: BuiltProcess, name: string) {
  const { status, body } = await buy(one.url, order(name));
  return [status, body['type']];
}

describe('processes that are started before their systems', () => {
  test.each([
    ['ingest', () => ingest, ['kafka', 'redis', 'temporal']],
    // Without Kafka only dead letters and events wait.
    ['worker', () => worker, ['redis', 'temporal']],
  ])('%s lives, is not ready, and names each of them', async (_, one, names) => {
    await soon('it lives', () => isAlive(one()));
    const { status, body } = await soon('it has tried each of them', async () => {
      const report = await one().get('/readyz');
      const reasons = Object.values(report.body['waiting_for'] as object);
      return !reasons.includes('no answer yet') && report;
    });
    expect(status).toBe(503);
    expect(body['dependencies']).toEqual(Object.fromEntries(names.map((name) => [name, false])));
    expect(Object.keys(body['waiting_for'] as object).sort()).toEqual(names);
    for (const name of names) {
      await soon('it is logged', () => one().linesOf(`waiting for ${name}`) === 1);
    }
  });

  test('the gateway lives, and is not ready while it can read nothing', async () => {
    await soon('it lives', () => isAlive(api));
    const { status, body } = await api.get('/readyz');
    expect([status, body['dependencies']]).toEqual([503, { redis: false, kafka: false }]);
    expect(await buyAt(api, 'too-early')).toEqual(REFUSED);
  });

  test.each(['api/main.js', 'ingest/main.js', 'worker/main.js'])(
    '%s ends cleanly by SIGTERM while it waits',
    async (main) => {
      const waiting = await startAnother(main);
      await soon('it lives', () => isAlive(waiting));
      expect(await waiting.terminate()).toEqual([0, null]);
      expect(waiting.output()).not.toContain('a shutdown step failed');
    },
  );

  test('with Redis alone the gateway is ready: it answers reads, and purchases with 503', async () => {
    await startRedis(systems.context);
    stock = redisStockOn(new Redis(`redis://${String(env['REDIS_ADDR'])}`));
    await stock.setFree(ITEM, SUPPLY);
    await soon('it is ready', hasStatus(api, 200));
    await soon('it has read whether selling is stopped', async () => {
      const { body } = await api.get('/readyz');
      const warnings = (body['warnings'] as string[]).join('\n');
      return warnings.includes('recorded states') && !/^the switch of selling/m.test(warnings);
    });
    expect((await api.get('/readyz')).body).toEqual({
      ready: true,
      dependencies: { redis: true, kafka: false },
      warnings: [
        'Kafka does not answer: purchases and cancellations get 503',
        expect.stringMatching(/^the recorded states of the switch of selling cannot be read/),
      ],
    });
    expect(await itemAt(api)).toMatchObject({ free: SUPPLY });
    expect(await buyAt(api, 'without-kafka')).toEqual(REFUSED);
    expect(await itemAt(api)).toMatchObject({ free: SUPPLY, held: 0 });
  });

  test('when all of them are there, they become ready and sell what they have refused', async () => {
    await startTemporal(systems.context);
    await startKafka(systems.context);
    for (const one of [ingest, worker]) await soon('it is ready', hasStatus(one, 200));
    expect(ingest.linesOf('waiting for kafka')).toBe(1);
    expect(ingest.linesOf('waited for kafka')).toBe(1);
    expect(await insist(api.url, order('without-kafka'))).toBe(true);
    await soon('it is sold', async () => (await itemAt(api))['sold'] === 1);
  });
});

describe('processes whose systems freeze later', () => {
  test('the gateway stays ready without Kafka, reads on, refuses purchases, and sells on', async () => {
    await soon('Kafka answers', async () => {
      const { body } = await api.get('/readyz');
      return body['warnings'] === undefined;
    });
    const before = await itemAt(api);
    signal('kafka', 'SIGSTOP');
    await soon('it knows', async () => {
      const { body } = await api.get('/readyz');
      return (body['dependencies'] as Record<string, boolean>)['kafka'] === false;
    });
    expect((await api.get('/readyz')).status).toBe(200);
    expect(await itemAt(api)).toEqual(before);
    const [status, type] = await buyAt(api, 'frozen-kafka');
    expect([status, type]).toEqual([503, '/problems/outcome-unknown']);
    signal('kafka', 'SIGCONT');
    expect(await insist(api.url, order('frozen-kafka'))).toBe(true);
    await soon('it is sold', async () => (await itemAt(api))['sold'] === 2);
  });

  test('worker and ingest live and are not ready while Temporal does not answer', async () => {
    for (const one of [ingest, worker]) await soon('it is ready', hasStatus(one, 200));
    signal('temporal', 'SIGSTOP');
    for (const one of [ingest, worker]) {
      await soon('it is not ready', hasStatus(one, 503));
      const { body } = await one.get('/readyz');
      expect(body['dependencies']).toMatchObject({ redis: true, temporal: false });
      expect(await isAlive(one)).toBe(true);
    }
    signal('temporal', 'SIGCONT');
    for (const one of [ingest, worker]) await soon('it is ready', hasStatus(one, 200));
  });

  test('worker and ingest live and are not ready while Redis does not answer', async () => {
    signal('redis', 'SIGSTOP');
    for (const one of [ingest, worker, api]) {
      await soon('it is not ready', hasStatus(one, 503));
      expect(await isAlive(one)).toBe(true);
    }
    signal('redis', 'SIGCONT');
    for (const one of [ingest, worker, api]) await soon('it is ready', hasStatus(one, 200));
  });
});

describe('processes that are started while a system is frozen', () => {
  test('a worker works without Kafka, and writes events and dead letters once it is there', async () => {
    signal('kafka', 'SIGSTOP');
    const one = await startAnother('worker/main.js');
    const topics = ['orders-dlq', 'order-events'];
    try {
      await soon('it is ready', hasStatus(one, 200));
      for (const topic of topics) {
        await soon('it waits', () => one.linesOf(`waiting for a producer of ${topic}`) === 1);
      }
    } finally {
      signal('kafka', 'SIGCONT');
    }
    for (const topic of topics) {
      await soon('it has waited', () => one.linesOf(`waited for a producer of ${topic}`) === 1);
    }
    expect(await one.terminate()).toEqual([0, null]);
  });

  test.each([
    ['worker/main.js', 'temporal'],
    ['ingest/main.js', 'temporal'],
    ['ingest/main.js', 'kafka'],
    ['worker/main.js', 'redis'],
  ])('%s waits for %s, ends cleanly by SIGTERM, and another one goes on', async (main, name) => {
    signal(name, 'SIGSTOP');
    const [first, second] = [await startAnother(main), await startAnother(main)];
    try {
      for (const one of [first, second]) {
        await soon('it waits', () => one.linesOf(`waiting for ${name}`) === 1);
        expect(await isAlive(one)).toBe(true);
        await soon('it waits for nothing else', async () => {
          const { status, body } = await one.get('/readyz');
          return status === 503 && Object.keys(body['waiting_for'] as object).join() === name;
        });
      }
      expect(await first.terminate()).toEqual([0, null]);
    } finally {
      signal(name, 'SIGCONT');
    }
    await soon('it is ready', hasStatus(second, 200));
    expect(await second.terminate()).toEqual([0, null]);
  });
});
