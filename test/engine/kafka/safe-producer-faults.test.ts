import type { SafeProducerOptions } from '../../../engine/kafka/safe-producer';
import {
  createFakeLog,
  entry,
  onFirstClient,
  TIMING,
  TOPIC,
  useSafeProducers,
  type Fault,
} from './fake-kafka-log';

/** Each fault of kafkajs by itself, on a fake. On real brokers: test/integration/kafkajs-faults.int.test.ts. */
const start = useSafeProducers();

/** A caller without the safe producer: it trusts the result of `send`. */
async function plainSend(createProducer: SafeProducerOptions['createProducer'], value: string) {
  const messages = [{ partition: 0, value }];
  return createProducer().send({ topic: TOPIC, acks: -1, messages });
}

describe('a client that always returns an empty result', () => {
  test('makes a plain send report success for a record that is not in the log', async () => {
    const log = onFirstClient('empty-result');
    await expect(plainSend(log.createProducer, 'a')).resolves.toEqual([]);
    expect(log.values()).toEqual([]);
  });

  test('is replaced, and append acknowledges only what is in the log', async () => {
    const log = onFirstClient('empty-result');
    const producer = await start(log.createProducer);
    const { partition, offset } = await producer.append(entry('a'));
    expect(log.at(partition, offset)).toBe('a');
    expect(log.state.clients).toBe(2);
  });
});

describe('a client that returns the result of another partition', () => {
  test('makes a plain send report success for a record that is not in the log', async () => {
    const log = onFirstClient('other-partition');
    await expect(plainSend(log.createProducer, 'a')).resolves.toHaveLength(1);
    expect(log.values()).toEqual([]);
  });

  test('is replaced, and append acknowledges only what is in the log', async () => {
    const log = onFirstClient('other-partition');
    const producer = await start(log.createProducer);
    const { partition, offset } = await producer.append(entry('a'));
    expect(log.at(partition, offset)).toBe('a');
    expect(log.state.clients).toBe(2);
  });
});

describe('a connection that breaks before or after the write', () => {
  test('makes a plain send report a failure for a record that is in the log', async () => {
    const log = onFirstClient('error-after-write');
    await expect(plainSend(log.createProducer, 'a')).rejects.toThrow('request timed out');
    expect(log.values()).toEqual(['a']);
  });

  test('makes append retry the batch through the same client until it is acknowledged', async () => {
    const faults: Fault[] = ['error', 'error-after-write', 'error'];
    const log = createFakeLog(() => faults.shift());
    const producer = await start(log.createProducer);
    await producer.append(entry('a'));
    expect(log.values()).toEqual(['a', 'a']);
    expect(log.state.clients).toBe(1);
  });

  test('makes append replace a client that only failed for longer than ackMsMax', async () => {
    const log = onFirstClient('error');
    const producer = await start(log.createProducer);
    const startedAt = Date.now();
    await producer.append(entry('a'));
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(TIMING.ackMsMax);
    expect(log.state.clients).toBe(2);
  });
});

describe('a half-open socket', () => {
  test('leaves a plain send without an answer', async () => {
    const log = onFirstClient('silence');
    const sent = plainSend(log.createProducer, 'a').then(() => 'answered');
    const timeout = new Promise((resolve) => setTimeout(resolve, 3 * TIMING.ackMsMax, 'nothing'));
    await expect(Promise.race([sent, timeout])).resolves.toBe('nothing');
  });

  test('makes append replace the client after ackMsMax, once for all partitions, and close the old one', async () => {
    const log = onFirstClient('silence');
    const producer = await start(log.createProducer);
    const names = Array.from({ length: 8 }, (_, i) => `order-${i}`);
    await Promise.all(names.map((name) => producer.append(entry(name))));
    expect(log.values().sort()).toEqual(names);
    expect(log.state).toMatchObject({ clients: 2, disconnected: 1 });
  });

  test('keeps its client while no new one can connect', async () => {
    const log = createFakeLog(
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
