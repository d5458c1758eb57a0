/** What buyers read when PostgreSQL is away, and when Redis has forgotten their orders. */
import { randomUUID } from 'node:crypto';
import { freePorts } from '../../stack/settings';
import { createTestArchive, type TestArchive } from '../support/archive';
import { startBuiltProcess, type BuiltProcess } from '../support/built-process';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';
import { startTcpProxy } from '../../stack/tcp-proxy';

jest.setTimeout(180_000);

const TOKEN = 'a-token-of-some-length';
const ITEM = `archived-${randomUUID().slice(0, 8)}`;

let archive: TestArchive;
let proxy: Awaited<ReturnType<typeof startTcpProxy>>;
let engine: Engine;
let gateway: BuiltProcess;

beforeAll(async () => {
  archive = await createTestArchive();
  const url = new URL(archive.url);
  proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  engine = await startEngine({
    DATABASE_URL: archive.url,
    PAYMENT_DECLINE_RATE: '0',
    OPERATOR_TOKEN: TOKEN,
  });
  process.env['FLASH_SALE_OPERATOR_TOKEN'] = TOKEN;
  await engine.redis.set(`inventory:${ITEM}`, 5);
  // A server that takes connections and says nothing, from before this gateway is there.
  proxy.freeze();
  const ports = await freePorts();
  gateway = startBuiltProcess('api/main.js', ports.gateway, {
    ...process.env,
    ADMIN_PORT: String(ports.admin),
    ORDERS_TOPIC: engine.topics.ordersTopic,
    CANCELLATIONS_TOPIC: engine.topics.cancellationsTopic,
    OPERATOR_ACTIONS_TOPIC: engine.topics.operatorActionsTopic,
    TASK_QUEUE: engine.taskQueue,
    DATABASE_URL: url.href,
    PAYMENT_URL: engine.payments,
  });
});
afterAll(async () => {
  await gateway.terminate();
  await engine.stop();
  await proxy.close();
  await archive.drop();
}, 60_000);

async function ask(path: string, init: RequestInit = {}) {
  const response = await fetch(gateway.url + path, init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const buy = (requestId: string) =>
  ask('/buy', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user_id: 'u1', item_id: ITEM, amount: 1, request_id: requestId }),
  });

async function confirmed(requestId: string) {
  return eventually('it is confirmed', async () => {
    const { body } = await ask(`/orders/${requestId}`);
    return body['status'] === 'confirmed' && body;
  });
}

test('an order is sold while PostgreSQL is away, listed when it is back, and found when Redis has forgotten it', async () => {
  const requestId = `req-${randomUUID()}`;
  const { status } = await eventually('the gateway is open', () => buy(requestId));
  expect(status).toBe(202);
  const acceptedBy = Date.now();
  const live = await confirmed(requestId);

  const list = `/orders?user_id=u1&item_id=${ITEM}`;
  const unanswered = { status: 503, body: { type: '/problems/not-accepted' } };
  expect(await ask(list)).toMatchObject(unanswered);
  expect(await ask(`/orders/unknown-${randomUUID()}`)).toMatchObject(unanswered);
  const { body: ready } = await eventually('it says so', async () => {
    const report = await ask('/readyz');
    return report.body['warnings'] !== undefined && report;
  });
  expect(ready).toMatchObject({
    ready: true,
    dependencies: { postgres: false },
    warnings: [expect.stringMatching(/^PostgreSQL does not answer/)],
  });

  proxy.open();
  const behind = await eventually('the list is made', async () => {
    const answer = await ask(list);
    return answer.status === 200 && answer;
  });
  // Nothing archives yet: the list is empty, and does not say that it is complete.
  expect(behind.body).toEqual({ orders: [], archived_until: null, next: null });
  await engine.startAnother('archiver');
  const { body } = await eventually(
    'the archive says that it has every order up to the answer',
    async () => {
      const answer = await ask(list);
      const until = Date.parse(String(answer.body['archived_until']));
      return answer.status === 200 && until >= acceptedBy && answer;
    },
    60_000,
  );
  expect(body['orders']).toMatchObject([{ request_id: requestId }]);
  await eventually('its end is archived', async () => {
    const { body: listed } = await ask(list);
    const [order] = listed['orders'] as { status: string }[];
    return order?.status === 'confirmed';
  });

  await engine.redis.del(`idempotency:${requestId}`);
  await engine.redis.hdel(`{inventory:${ITEM}}:orders`, requestId);
  const archived = await ask(`/orders/${requestId}`);
  const { timeline } = live as { timeline: { at: string; state: string }[] };
  expect(archived).toEqual({
    status: 200,
    body: { ...live, timeline: [timeline[0], timeline.at(-1)] },
  });
  expect(await ask(`/orders/unknown-${randomUUID()}`)).toMatchObject({ status: 404 });

  const admin = ['--admin-url', engine.admin, '--item', ITEM];
  const search = await flashSale(engine, 'orders', 'search', ...admin, '--json');
  expect(search.json()).toMatchObject([
    { request_id: requestId, user_id: 'u1', status: 'confirmed', payment_id: live['payment_id'] },
  ]);
  const exported = await flashSale(engine, 'orders', 'export', ...admin, '--user', 'u1');
  expect(exported.out).toContain(`,${requestId},${ITEM},u1,1,1000,USD,confirmed,,`);
  expect(await flashSale(engine, 'orders', 'export', ...admin, '--user', 'u2')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^order_id,.*\r\n$/) as string,
  });
});
