/** The archiver as a process, on a real Kafka and a real PostgreSQL. */
import { randomBytes, randomUUID } from 'node:crypto';
import { Client } from 'pg';
import type { TopicNames } from '../../engine/kafka/topics';
import { ORDER_EVENTS_PARTITIONS, ORDERS_PARTITIONS, withAdmin } from '../../engine/kafka/topics';
import { createDeadLetterWriter } from '../../engine/kafka/dead-letters';
import { encodeOrderEvent, type OrderEvent } from '../../engine/orders/order-event';
import { encodeOrder } from '../../engine/orders/order-record';
import { freePorts } from '../../stack/settings';
import { useRealLog } from '../engine/kafka/real-log';
import { allRows, createTestArchive, type TestArchive } from '../support/archive';
import { aLetter, anAcceptance, anEvent } from '../support/archived-records';
import { startBuiltProcess, type BuiltProcess } from '../support/built-process';
import { eventually } from '../support/eventually';
import { startTcpProxy } from '../../stack/tcp-proxy';

// A member that was killed is missed after 10 s, a server that is frozen after 25 s.
jest.setTimeout(300_000);
const soon = <T>(what: string, ask: () => Promise<T | undefined | false> | T | undefined | false) =>
  eventually(what, ask, 120_000);

const log = useRealLog();
const started: BuiltProcess[] = [];
let archive: TestArchive;
let topics: TopicNames;
let proxy: Awaited<ReturnType<typeof startTcpProxy>>;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  archive = await createTestArchive();
  topics = await log.topics();
  const url = new URL(archive.url);
  proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  env = {
    PATH: process.env['PATH'],
    REDIS_ADDR: process.env['REDIS_ADDR'],
    KAFKA_ADDR: process.env['KAFKA_ADDR'],
    TEMPORAL_ADDRESS: process.env['TEMPORAL_ADDRESS'],
    DATABASE_URL: url.href,
    ORDERS_TOPIC: topics.ordersTopic,
    DLQ_TOPIC: topics.deadLetterTopic,
    CANCELLATIONS_TOPIC: topics.cancellationsTopic,
    OPERATOR_ACTIONS_TOPIC: topics.operatorActionsTopic,
    ORDER_EVENTS_TOPIC: topics.orderEventsTopic,
    ARCHIVER_GROUP: `archiver-${topics.ordersTopic}`,
  };
}, 120_000);
afterEach(async () => {
  await Promise.all(started.splice(0).map((one) => one.kill()));
  await log.closeAll();
  await proxy.close();
  await archive.drop();
}, 60_000);

async function start(own: NodeJS.ProcessEnv = {}): Promise<BuiltProcess> {
  const { ingest: port } = await freePorts();
  const one = startBuiltProcess('archiver/main.js', port, { ...env, ...own });
  started.push(one);
  return one;
}
const isReady = async (one: BuiltProcess) => (await one.get('/readyz')).status === 200;

/** So many orders, the records of which, and then their events, are appended a few at a time. */
async function appendOrders(count: number): Promise<OrderEvent[]> {
  const orders = await log.producer(topics.ordersTopic, ORDERS_PARTITIONS);
  const events = await log.producer(topics.orderEventsTopic, ORDER_EVENTS_PARTITIONS);
  const all = Array.from({ length: count }, (_, i) => {
    const order = anAcceptance({ requestId: `req-${i}`, orderId: randomUUID(), userId: `u${i}` });
    const ended =
      i % 3 === 0
        ? ({ status: 'failed', reason: 'payment-declined' } as const)
        : ({ status: 'confirmed', paymentId: `pay-${i}` } as const);
    return { order, event: anEvent(order, ended) };
  });
  for (let from = 0; from < count; from += 100) {
    await Promise.all(
      all
        .slice(from, from + 100)
        .flatMap(({ order, event }) => [
          orders.append({ key: order.requestId, value: encodeOrder(order) }),
          events.append({ key: order.requestId, value: encodeOrderEvent(event) }),
        ]),
    );
  }
  return all.map(({ event }) => event);
}

/** The rows of ended orders. */
function rowsOf(events: readonly OrderEvent[]) {
  const byId = [...events].sort((one, other) => (one.order.orderId < other.order.orderId ? -1 : 1));
  const state = (event: OrderEvent) => ({
    status: event.status,
    reason: event.reason ?? null,
    payment_id: event.paymentId ?? null,
    generation: String(event.generation),
    revision: String(event.revision),
  });
  return {
    orders: byId.map((event) => ({
      order_id: event.order.orderId,
      request_id: event.order.requestId,
      item_id: event.order.itemId,
      user_id: event.order.userId,
      amount: event.order.amount,
      price_minor: String(event.order.priceMinor),
      currency: event.order.currency,
      accepted_at: new Date(event.order.acceptedAt),
      ...state(event),
      finished_at: new Date(event.at),
      pay_within_ms: null,
    })),
    order_events: byId.map((event) => ({
      order_id: event.order.orderId,
      ...state(event),
      at: new Date(event.at),
    })),
  };
}

async function areArchived(events: readonly OrderEvent[]): Promise<void> {
  await soon('all orders have ended in the archive', async () => {
    const { rows } = await archive.pool.query<{ n: number }>(
      "select count(*)::int as n from orders where status <> 'queued'",
    );
    return (rows[0]?.n ?? 0) >= events.length;
  });
  const rows = await allRows(archive);
  expect(rows).toMatchObject({ dead_letters: [], operator_actions: [] });
  // Holes in the log are no records.
  expect(rows.set_aside.filter(({ headers }) => headers !== null)).toEqual([]);
  expect(rows.orders).toEqual(rowsOf(events).orders);
  expect(rows.order_events).toEqual(rowsOf(events).order_events);
}

/** The value of a metric, summed over its labels; `labels` selects. */
const isOurs = (topic: unknown) => Object.values(topics).some((one) => one === topic);
const setAside = async () => (await archive.rows('set_aside')).filter(({ topic }) => isOurs(topic));

async function metric(one: BuiltProcess, name: string, labels = ''): Promise<number> {
  const text = await (await fetch(`${one.url}/metrics`)).text();
  return (
    text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
      // It archives the stock of all items as well, which other tests change meanwhile.
      .filter((line) => !line.includes('topic="') || isOurs(/topic="([^"]*)"/.exec(line)?.[1]))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  );
}

test('archives what is appended, also while it is killed again and again', async () => {
  const running = [
    await start({ FAILPOINTS: 'archiver.write.before=kill@5' }),
    await start({ FAILPOINTS: 'archiver.write.after=kill@3' }),
    await start({ FAILPOINTS: 'archiver.commit.before=kill@2' }),
    await start({ FAILPOINTS: 'archiver.write.after=drop@2' }),
  ];
  await soon('they are members', async () => {
    const ready = await Promise.all(running.map(isReady));
    return ready.every(Boolean);
  });
  const events = await appendOrders(3_000);
  await soon('three are dead', async () => {
    await Promise.all(running.slice(0, 3).map(({ ended }) => ended));
    return true;
  });
  await areArchived(events);
  expect(running[3]?.output()).toContain('failpoint fired');
});

test('two that hold themselves for the owner of a partition write each row once', async () => {
  const frozen = await start({ FAILPOINTS: 'archiver.write.before=freeze@4' });
  await soon('it is a member', () => isReady(frozen));
  const events = await appendOrders(2_000);
  await soon('it is frozen in a write', () => frozen.output().includes('failpoint fired'));
  await start();
  await areArchived(events);
  const before = await allRows(archive);
  frozen.signal('SIGCONT');
  await soon('it finds out', () =>
    frozen.output().includes('the position has moved: going on from where it is'),
  );
  await soon('it is a member again', () => isReady(frozen));
  expect(await allRows(archive)).toEqual(before);
});

test.each(['freeze', 'leave'] as const)(
  'waits for a PostgreSQL that is away (%s), as a member that is not ready, and catches up',
  async (how) => {
    const one = await start();
    await soon('it is ready', () => isReady(one));
    const first = await appendOrders(200);
    await areArchived(first);
    proxy[how]();
    const second = await appendOrders(1_000);
    await soon('it is not ready', async () => !(await isReady(one)));
    expect((await one.get('/readyz')).body['dependencies']).toEqual({
      kafka: true,
      postgres: false,
    });
    await soon(
      'it has tried',
      async () => (await metric(one, 'flash_sale_archive_faults_total')) > 1,
    );
    await soon(
      'the lag grows',
      async () => (await metric(one, 'flash_sale_archive_lag_seconds')) > 1,
    );
    proxy.open();
    await areArchived([...first, ...second]);
    await soon('it is ready again', () => isReady(one));
    // No heartbeat was missed meanwhile.
    expect(one.linesOf('joined the consumer group')).toBe(1);
  },
);

test('a lock in PostgreSQL is waited for', async () => {
  const one = await start();
  await soon('it is ready', () => isReady(one));
  // Not from the pool, whose connections may not be idle in a transaction for so long.
  const lock = new Client({ connectionString: archive.url });
  await lock.connect();
  await lock.query('begin; lock table orders in access exclusive mode');
  const events = await appendOrders(100);
  await soon(
    'it has tried',
    async () => (await metric(one, 'flash_sale_archive_faults_total')) > 0,
  );
  await lock.end();
  await areArchived(events);
  expect(await metric(one, 'flash_sale_archive_records_total', 'set-aside')).toBe(0);
});

test('a reset of the offsets to the beginning changes nothing', async () => {
  const first = await start();
  const events = await appendOrders(500);
  await areArchived(events);
  await first.terminate();
  const stamps = 'select max(updated_at) as newest, count(*) as n from orders';
  const before = await archive.pool.query(stamps);
  await withAdmin(log.kafka(), (admin) => admin.deleteGroups([String(env['ARCHIVER_GROUP'])]));
  const second = await start();
  await soon('it is ready', () => isReady(second));
  const more = await appendOrders(50);
  await areArchived([...events, ...more]);
  const archived = () => metric(second, 'flash_sale_archive_records_total', 'archived');
  await soon('the new records are counted', async () => (await archived()) >= 100);
  expect(await archived()).toBe(100);
  const after = await archive.pool.query(`${stamps} where order_id = any($1)`, [
    events.map(({ order }) => order.orderId),
  ]);
  expect(after.rows).toEqual(before.rows);
});

test('a bad record is set aside and told of, and the others are archived', async () => {
  const one = await start();
  const [event] = await appendOrders(1);
  if (!event) throw new Error('no event');
  const events = await log.producer(topics.orderEventsTopic, ORDER_EVENTS_PARTITIONS);
  await events.append({ key: event.order.requestId, value: Buffer.from('no event') });
  const letters = createDeadLetterWriter(await log.producer(topics.deadLetterTopic, 1));
  const letter = aLetter({ ...event.order, fingerprint: '' });
  // PostgreSQL has no index of a text that is so long and cannot be compressed.
  const id = randomBytes(6_000).toString('base64url');
  await letters.write({ ...letter, id, value: Buffer.from('refused') });
  await letters.write({ ...letter, id: 'good' });
  await soon('both are set aside', async () => (await setAside()).length === 2);
  const last = { ...event, revision: 10 };
  await events.append({ key: event.order.requestId, value: encodeOrderEvent(last) });
  await soon('the next is archived', async () => {
    const [order] = await archive.rows('orders');
    return order?.['revision'] === '10';
  });
  await soon('the next letter is archived', async () => {
    const rows = await archive.rows('dead_letters');
    return rows.map(({ letter_id }) => letter_id).join() === 'good';
  });
  const aside = await setAside();
  expect(aside.map(({ value }) => String(value)).sort()).toEqual(['no event', 'refused']);
  expect(one.linesOf('a record cannot be archived: set aside')).toBe(2);
  expect(await metric(one, 'flash_sale_archive_records_total', 'set-aside')).toBe(2);
  expect(await metric(one, 'flash_sale_archive_faults_total')).toBe(0);
});

test('after a restored backup it archives again what is missing, whether it runs or not', async () => {
  const one = await start();
  const events = await appendOrders(300);
  await areArchived(events);
  // A backup from before the first order: the process runs, and nothing new comes.
  await archive.empty();
  await areArchived(events);
  await one.terminate();
  // One from the middle, while it is stopped.
  await archive.pool.query('truncate orders, order_events');
  await archive.pool.query('update log_positions set next_offset = next_offset / 2');
  const { rows } = await archive.pool.query<{ topic: string; partition: number; next: string }>(
    'select topic, partition, next_offset as next from log_positions',
  );
  const missing = await withAdmin(log.kafka(), async (admin) => {
    const ends = await admin.fetchTopicOffsets(topics.orderEventsTopic);
    return rows
      .filter(({ topic }) => topic === topics.orderEventsTopic)
      .map(({ partition, next }) => Number(ends[partition]?.high) - Number(next))
      .reduce((sum, records) => sum + records, 0);
  });
  expect(missing).toBeGreaterThan(100);
  await start();
  await soon('the later half is back', async () => {
    const { length } = await archive.rows('order_events');
    return length === missing;
  });
});

test('records that the log has lost are told of, and it goes on', async () => {
  const one = await start();
  const first = await appendOrders(60);
  await areArchived(first);
  // An event that came before its record makes the row alone; a record that is not archived yet would be lost, too.
  await soon('both logs are archived', async () => {
    const positions = await archive.rows('log_positions');
    const ours = positions.filter(({ topic }) => isOurs(topic));
    return ours.reduce((sum, { next_offset }) => sum + Number(next_offset), 0) === 2 * first.length;
  });
  await one.terminate();
  const lost = await appendOrders(60);
  await withAdmin(log.kafka(), async (admin) => {
    for (const topic of [topics.ordersTopic, topics.orderEventsTopic]) {
      const partitions = (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => ({
        partition,
        offset: high,
      }));
      await admin.deleteTopicRecords({ topic, partitions });
    }
  });
  const last = await appendOrders(60);
  const another = await start();
  await areArchived([...first, ...last]);
  await soon('all are told of', async () => {
    const told = await metric(another, 'flash_sale_archive_lost_records_total');
    return told === 2 * lost.length;
  });
  expect(another.output()).toContain('records are gone from the log that were not archived');
  // A moment later: they are told of before the rows are written.
  await soon('all holes are set aside', async () => {
    const holes = (await archive.rows('set_aside')).map(({ problem }) => String(problem));
    const records = holes.map((problem) => Number(/^\d+(?= records, up to)/.exec(problem)?.[0]));
    return records.reduce((sum, one) => sum + one, 0) === 2 * lost.length;
  });
});
