import { createHash, randomUUID } from 'node:crypto';
import { startConsumer, type LogRecord, type RecordHandler } from '../../engine/kafka/consumer';
import { NotAppendedError, type LogEntry } from '../../engine/kafka/safe-producer';
import {
  DEAD_LETTER_PARTITIONS,
  ensureTopics,
  ORDERS_PARTITIONS,
  partitionCount,
  saleTopics,
  withAdmin,
} from '../../engine/kafka/topics';
import { logger, useRealLog } from '../engine/kafka/real-log';
import { kafkaAddrs } from '../support/addresses';
import { eventually } from '../support/eventually';

const log = useRealLog();
afterEach(() => log.closeAll());

const entry = (name: string): LogEntry => ({ key: name, value: Buffer.from(name) });
const names = (count: number) => Array.from({ length: count }, (_, i) => `order-${i}`);

type Handle = RecordHandler['handle'];

/** All records in one queue. */
const handlerOf = (handle: Handle): RecordHandler => {
  return { queueOf: () => '', admit: () => true, handle };
};

/** A member of `groupId` whose records `handle` finishes. */
async function member(topic: string, groupId: string, handle: Handle) {
  const consumer = await startConsumer({
    kafka: log.kafka(),
    topic,
    groupId,
    logger,
    handler: handlerOf(handle),
    onDead: () => undefined,
  });
  log.closing.push(() => consumer.stop());
  return consumer;
}

/** What the group has committed, by partition. */
async function committed(topic: string, groupId: string): Promise<Record<number, string>> {
  const [answer] = await withAdmin(log.kafka(), (admin) =>
    admin.fetchOffsets({ groupId, topics: [topic] }),
  );
  const entries = answer?.partitions.map(({ partition, offset }) => [partition, offset] as const);
  return Object.fromEntries(entries ?? []);
}

describe('ensureTopics', () => {
  test('creates missing topics, and changes nothing when called again', async () => {
    const topics = await log.topics();
    await ensureTopics(kafkaAddrs(), saleTopics(topics));
    const kafka = log.kafka();
    await expect(partitionCount(kafka, topics.ordersTopic)).resolves.toBe(ORDERS_PARTITIONS);
    await expect(partitionCount(kafka, topics.deadLetterTopic)).resolves.toBe(
      DEAD_LETTER_PARTITIONS,
    );
  });

  test('names the topics that are not ready when Kafka does not answer', async () => {
    const nowhere = ensureTopics(['127.0.0.1:1'], saleTopics(), { readyMsMax: 500 });
    await expect(nowhere).rejects.toThrow(
      'Kafka has not made orders, orders-dlq, orders-cancelled, operator-actions, order-events ready in 500 ms',
    );
  });
});

describe('partitionCount', () => {
  test('throws for an unknown topic and does not create it', async () => {
    const topic = `none-${randomUUID()}`;
    await expect(partitionCount(log.kafka(), topic)).rejects.toThrow();
    const topics = await withAdmin(log.kafka(), (admin) => admin.listTopics());
    expect(topics).not.toContain(topic);
  });
});

describe('append, then a consumer', () => {
  test('delivers every record once, unchanged, at the acknowledged offset', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const seen: LogRecord[] = [];
    await member(ordersTopic, randomUUID(), (record) => {
      seen.push(record);
      return Promise.resolve();
    });
    const value = createHash('sha256').update('any bytes').digest();
    const headers = { reason: 'sold-out' };
    const acks = await Promise.all(
      names(300).map((key) => producer.append({ key, value, headers })),
    );
    await eventually('all records', () => seen.length >= 300);
    const places = seen.map(
      ({ partition, offset, key }) => `${String(key)}@${partition}:${offset}`,
    );
    const promised = acks.map(({ partition, offset }, i) => `order-${i}@${partition}:${offset}`);
    expect(places.sort()).toEqual(promised.sort());
    expect(seen.every((record) => record.value?.equals(value))).toBe(true);
    expect(String(seen[0]?.headers['reason'])).toBe('sold-out');
    expect(new Set(acks.map(({ partition }) => partition)).size).toBe(ORDERS_PARTITIONS);
  });

  test('a record that Kafka refuses neither blocks nor fails the others of its batch', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const key = 'one-partition';
    const huge = producer.append({ key, value: Buffer.alloc(2_000_000) });
    const small = [1, 2, 3].map(() => producer.append({ key, value: Buffer.from('small') }));
    await expect(huge).rejects.toBeInstanceOf(NotAppendedError);
    await expect(Promise.all(small)).resolves.toHaveLength(3);
  });
});

describe('startConsumer', () => {
  test('delivers records again that a member did not commit before it died', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const groupId = randomUUID();
    await producer.append(entry('a'));
    const first: string[] = [];
    const dying = await member(ordersTopic, groupId, ({ key }) => {
      first.push(String(key));
      return Promise.reject(new Error('dies between its work and the commit'));
    });
    await eventually('the first delivery', () => first.length > 0);
    await dying.stop();

    const second: string[] = [];
    await member(ordersTopic, groupId, ({ key }) => {
      second.push(String(key));
      return Promise.resolve();
    });
    await eventually('the second delivery', () => second.length > 0);
    expect(second).toEqual(['a']);
  });

  test('continues behind the last finished record after a stop', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const groupId = randomUUID();
    const seen: string[] = [];
    const handle: Handle = ({ key }) => {
      seen.push(String(key));
      return Promise.resolve();
    };
    const first = await member(ordersTopic, groupId, handle);
    await Promise.all(names(100).map((name) => producer.append(entry(name))));
    await eventually('the first hundred', () => seen.length >= 100);
    await first.stop();
    await producer.append(entry('after the stop'));
    await member(ordersTopic, groupId, handle);
    await eventually('the last one', () => seen.includes('after the stop'));
    expect(seen).toHaveLength(101);
  });

  test('skips nothing while members come and go', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const groupId = randomUUID();
    const seen = [new Set<string>(), new Set<string>()] as const;
    const slowly =
      (keys: Set<string>): Handle =>
      async ({ key }) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        keys.add(String(key));
      };
    const wanted: string[] = [];
    const enough = new AbortController();
    const appending = (async () => {
      while (!enough.signal.aborted) {
        const batch = names(60).map((name) => `${name}-${wanted.length}`);
        await Promise.all(batch.map((name) => producer.append(entry(name))));
        wanted.push(...batch);
      }
    })();
    const first = await member(ordersTopic, groupId, slowly(seen[0]));
    await eventually('the first member at work', () => seen[0].size > 0);
    await member(ordersTopic, groupId, slowly(seen[1]));
    await eventually('the second member at work', () => seen[1].size > 0);
    await first.stop();
    enough.abort();
    await appending;
    const missing = () => wanted.filter((name) => !seen.some((keys) => keys.has(name)));
    await eventually('all records', () => missing().length === 0, 30_000);

    const ends = await withAdmin(log.kafka(), (admin) => admin.fetchTopicOffsets(ordersTopic));
    const end = Object.fromEntries(ends.map(({ partition, high }) => [partition, high]));
    await eventually('all offsets committed', async () => {
      return JSON.stringify(await committed(ordersTopic, groupId)) === JSON.stringify(end);
    });
  });

  test('stops within its bound while a record hangs, and does not commit it', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const groupId = randomUUID();
    await producer.append(entry('a'));
    let delivered = false;
    let release = () => undefined as unknown;
    const hanging = new Promise<void>((resolve) => (release = resolve));
    const consumer = await startConsumer({
      kafka: log.kafka(),
      topic: ordersTopic,
      groupId,
      logger,
      onDead: () => undefined,
      handler: handlerOf(() => {
        delivered = true;
        return hanging;
      }),
      stopMsMax: 300,
    });
    await eventually('the delivery', () => delivered);
    const startedAt = Date.now();
    await consumer.stop();
    expect(Date.now() - startedAt).toBeLessThan(10_000);
    const offsets = Object.values(await committed(ordersTopic, groupId));
    expect(offsets.every((offset) => offset === '-1')).toBe(true);
    release();
    await eventually('the member gone', async () => {
      const answer = withAdmin(log.kafka(), (admin) => admin.describeGroups([groupId]));
      return (await answer).groups.every(({ members }) => members.length === 0);
    });
  });

  test('handles a record of a quiet queue long before a thousand that stand before it in the log', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    await Promise.all(names(2_000).map((name) => producer.append(entry(`hot-${name}`))));
    await producer.append(entry('quiet'));
    const seen: string[] = [];
    const consumer = await startConsumer({
      kafka: log.kafka(),
      topic: ordersTopic,
      groupId: randomUUID(),
      logger,
      onDead: () => undefined,
      handler: {
        queueOf: ({ key }) => String(key).split('-')[0] ?? '',
        admit: () => true,
        handle: async ({ key }) => {
          await new Promise((resolve) => setTimeout(resolve, 10));
          seen.push(String(key));
        },
      },
    });
    log.closing.push(() => consumer.stop());
    await eventually('the quiet one', () => seen.includes('quiet'));
    expect(seen.length).toBeLessThan(1_000);
  });

  test('skips nothing when it joins again while thousands of records wait, and handles few again', async () => {
    const { ordersTopic } = await log.topics();
    const producer = await log.producer(ordersTopic, ORDERS_PARTITIONS);
    const groupId = randomUUID();
    const wanted = names(3_000);
    await Promise.all(wanted.map((name) => producer.append(entry(name))));
    const seen: string[] = [];
    const slowly: Handle = async ({ key }) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      seen.push(String(key));
    };
    await member(ordersTopic, groupId, slowly);
    await eventually('the first at work', () => seen.length > 200);
    // Each join of another member makes this one join again, and each leave.
    for (let joins = 0; joins < 2; joins++) {
      const other = await member(ordersTopic, groupId, slowly);
      await eventually('both at work', () => seen.length > 500 * (joins + 1));
      await other.stop();
    }
    await eventually('all records', () => new Set(seen).size === wanted.length, 60_000);
    expect(seen.length - wanted.length).toBeLessThan(500);
  });
});
