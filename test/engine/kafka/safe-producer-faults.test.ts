import type { SafeProducerOptions } from '../../../engine/kafka/safe-producer';
import { createFakeLog, type Fault } from './fake-kafka-log';
import { entry, onFirstClient, TIMING, TOPIC, useSafeProducers } from './safe-producers';

/** Each fault by itself, as often as a test wants it. On real brokers: test/integration/kafkajs-faults.int.test.ts. */
const start = useSafeProducers();

/** What a caller without the safe producer would do: believe `send`. */
async function naiveSend(createProducer: SafeProducerOptions['createProducer'], value: string) {
  const messages = [{ partition: 0, value }];
  return createProducer().send({ topic: TOPIC, acks: -1, messages });
}

describe('append, over a client that answers with an empty result for ever', () => {
  test('a plain send reports success, and the record is not in the log', async () => {
    const log = onFirstClient('empty-result');
    await expect(naiveSend(log.createProducer, 'a')).resolves.toEqual([]);
    expect(log.values()).toEqual([]);
  });

  test('acknowledges only what the log has, after replacing the client', async () => {
    const log = onFirstClient('empty-result');
    const producer = await start(log.createProducer);
    const { partition, offset } = await producer.append(entry('a'));
    expect(log.at(partition, offset)).toBe('a');
    expect(log.state.clients).toBe(2);
  });
});

describe('append, over a client whose answer names another partition', () => {
  test('a plain send reports success, and the record is not in the log', async () => {
    const log = onFirstClient('other-partition');
    await expect(naiveSend(log.createProducer, 'a')).resolves.toHaveLength(1);
    expect(log.values()).toEqual([]);
  });

  test('acknowledges only what the log has, after replacing the client', async () => {
    const log = onFirstClient('other-partition');
    const producer = await start(log.createProducer);
    const { partition, offset } = await producer.append(entry('a'));
    expect(log.at(partition, offset)).toBe('a');
    expect(log.state.clients).toBe(2);
  });
});

describe('append, over a connection that breaks before or after the write', () => {
  test('a plain send reports a failure for a record that is in the log', async () => {
    const log = onFirstClient('error-after-write');
    await expect(naiveSend(log.createProducer, 'a')).rejects.toThrow('request timed out');
    expect(log.values()).toEqual(['a']);
  });

  test('sends the same batch again through the same client until it is acknowledged', async () => {
    const faults: Fault[] = ['error', 'error-after-write', 'error'];
    const log = createFakeLog(TOPIC, () => faults.shift());
    const producer = await start(log.createProducer);
    await producer.append(entry('a'));
    expect(log.values()).toEqual(['a', 'a']);
    expect(log.state.clients).toBe(1);
  });

  test('replaces a client that has only failed for longer than an acknowledgement may take', async () => {
    const log = onFirstClient('error');
    const producer = await start(log.createProducer);
    const startedAt = Date.now();
    await producer.append(entry('a'));
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(TIMING.ackMsMax);
    expect(log.state.clients).toBe(2);
  });
});

describe('append, over a socket that is dead without saying so', () => {
  test('a plain send never answers', async () => {
    const log = onFirstClient('silence');
    const sent = naiveSend(log.createProducer, 'a').then(() => 'answered');
    const patience = new Promise((resolve) => setTimeout(resolve, 3 * TIMING.ackMsMax, 'nothing'));
    await expect(Promise.race([sent, patience])).resolves.toBe('nothing');
  });

  test('replaces the client after the bound, once for all partitions, and closes the old one', async () => {
    const log = onFirstClient('silence');
    const producer = await start(log.createProducer);
    const names = Array.from({ length: 8 }, (_, i) => `order-${i}`);
    await Promise.all(names.map((name) => producer.append(entry(name))));
    expect(log.values().sort()).toEqual(names);
    expect(log.state).toMatchObject({ clients: 2, disconnected: 1 });
  });

  test('goes on with the old client while no new one can connect', async () => {
    const log = createFakeLog(
      TOPIC,
      (() => {
        let sends = 0;
        return () => (sends++ < 2 ? 'empty-result' : undefined);
      })(),
    );
    let made = 0;
    const producer = await start(() => {
      const client = log.createProducer();
      if (made++ === 0) return client;
      return { ...client, connect: () => Promise.reject(new Error('connection refused')) };
    });
    const { partition, offset } = await producer.append(entry('a'));
    expect(log.at(partition, offset)).toBe('a');
  });
});
