/**
 * Four faults in which kafkajs 2.2.4 reports records as written that were not, each on real brokers. A plain producer
 * shows the fault, so that a version without it is noticed; the safe producer under the same fault loses nothing. A last
 * test makes a consumer of kafkajs restart while it joins.
 */
import { Kafka, logLevel, Partitioners, type Producer, type ProducerConfig } from 'kafkajs';
import { createKafka, createProducer } from '../../engine/kafka/kafka-client';
import { readLog } from '../../engine/kafka/read-log';
import { createSafeProducer, type SafeProducer } from '../../engine/kafka/safe-producer';
import { logger } from '../engine/kafka/real-log';
import { startBrokerPair, type BrokerPair } from '../support/brokers/broker-pair';
import { misaddressedClient } from '../support/brokers/misaddressed-client';

let brokers: BrokerPair;
beforeAll(async () => {
  brokers = await startBrokerPair();
}, 120_000);
afterAll(() => brokers.stop(), 60_000);

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  brokers.proxies[1].heal();
  brokers.proxies[2].heal();
  for (const close of closing.splice(0)) await close();
});

/** As in the guide of kafkajs. */
async function plainProducer(config: ProducerConfig = {}): Promise<Producer> {
  const kafka = new Kafka({ brokers: [brokers.addressOf(1)], logLevel: logLevel.NOTHING });
  const createPartitioner = Partitioners.DefaultPartitioner;
  const producer = kafka.producer({ createPartitioner, ...config });
  await producer.connect();
  closing.push(() => producer.disconnect());
  return producer;
}

async function safeProducer(
  topic: string,
  create = () => createProducer(createKafka('test', [brokers.addressOf(1)])),
): Promise<SafeProducer> {
  const producer = await createSafeProducer({
    createProducer: create,
    topic,
    partitions: 2,
    logger,
  });
  closing.push(() => producer.close(5_000));
  return producer;
}

/** The acknowledged values, each with the place that the acknowledgement names, if any. */
type Acknowledged = Map<string, Place>;
type Place = { readonly partition: number | undefined; readonly offset: string | undefined };

/** For values that kafkajs has acknowledged without a place. */
const SOMEWHERE: Place = { partition: undefined, offset: undefined };
const acknowledgedAs = (values: readonly string[]): Acknowledged =>
  new Map(values.map((value) => [value, SOMEWHERE]));

/** The acknowledged values that are not in the log. */
async function lost(topic: string, acknowledged: Acknowledged): Promise<string[]> {
  const values = new Set((await brokers.read(topic)).values());
  return [...acknowledged.keys()].filter((value) => !values.has(value));
}

/** The acknowledged values that are not at the place that their acknowledgement names. */
async function misplaced(topic: string, acknowledged: Acknowledged): Promise<string[]> {
  const log = await brokers.read(topic);
  return [...acknowledged]
    .filter(([value, at]) => log.get(`${String(at.partition)}@${String(at.offset)}`) !== value)
    .map(([value]) => value);
}

/** Sends to partition 0 and adds the value to `into` when kafkajs acknowledges it. */
async function sendPlainly(producer: Producer, topic: string, value: string, into: Acknowledged) {
  const messages = [{ partition: 0, value }];
  const [answer] = await producer.send({ topic, acks: -1, messages });
  into.set(value, { partition: answer?.partition, offset: answer?.baseOffset });
}

/** A key of each of two partitions. */
const KEY_OF = { 0: 'a', 1: 'd' } as const;

async function append(
  producer: SafeProducer,
  partition: 0 | 1,
  value: string,
  into: Acknowledged,
): Promise<void> {
  const at = await producer.append({ key: KEY_OF[partition], value: Buffer.from(value) });
  expect(at.partition).toBe(partition);
  into.set(value, at);
}

describe('one send to partitions of two brokers, after a leader has moved', () => {
  test('a plain send reports both records, and one is not in the log', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await plainProducer();
    const both = (values: readonly string[]) =>
      producer.send({
        topic,
        acks: -1,
        messages: values.map((value, partition) => ({ partition, value })),
      });
    await both(['before 0', 'before 1']);
    await brokers.moveLeader(topic, 1, 1);
    const answer = await both(['after 0', 'after 1']);
    expect(answer.map(({ partition }) => partition)).toEqual([0]);
    expect(await lost(topic, acknowledgedAs(['after 0', 'after 1']))).toEqual(['after 1']);
  });

  test('the safe producer acknowledges both, and they are where it says', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await safeProducer(topic);
    const acknowledged: Acknowledged = new Map();
    const both = (name: string) =>
      Promise.all(
        ([0, 1] as const).map((partition) =>
          append(producer, partition, `${name} ${String(partition)}`, acknowledged),
        ),
      );
    await both('before');
    await brokers.moveLeader(topic, 1, 1);
    await both('after');
    expect(acknowledged.size).toBe(4);
    expect(await misplaced(topic, acknowledged)).toEqual([]);
  });
});

/** Breaks the connection instead of delivering the next `count` produce responses. Their records were written. */
function loseResponses(count: number): void {
  let left = count;
  brokers.proxies[1].onResponse = (kind) => (kind === 'produce' && left-- > 0 ? 'cut' : 'pass');
}

describe('concurrent sends, one of whose responses is lost', () => {
  test('an idempotent plain producer reports a record that is not in the log', async () => {
    const topic = await brokers.topicLedBy(1);
    const producer = await plainProducer({ idempotent: true });
    const acknowledged: Acknowledged = new Map();
    loseResponses(1);
    await Promise.all(
      ['A', 'B', 'C'].map((value) => sendPlainly(producer, topic, value, acknowledged)),
    );
    expect(await lost(topic, acknowledged)).toEqual(['C']);
  });

  test('the safe producer acknowledges all, and they are where it says', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await safeProducer(topic);
    const acknowledged: Acknowledged = new Map();
    loseResponses(1);
    const underWay = new Promise<void>((resolve) => {
      brokers.proxies[1].onRequest = (kind) => {
        if (kind === 'produce') resolve();
      };
    });
    const first = append(producer, 0, 'A', acknowledged);
    await underWay;
    const others = ['B', 'C'].map((value) => append(producer, 0, value, acknowledged));
    await Promise.all([first, ...others]);
    expect(acknowledged.size).toBe(3);
    expect(await misplaced(topic, acknowledged)).toEqual([]);
  });
});

describe('a send that fails after its responses were lost, and then another', () => {
  test('an idempotent plain producer with few retries reports a record that is not in the log', async () => {
    const topic = await brokers.topicLedBy(1);
    const producer = await plainProducer({
      idempotent: true,
      retry: { retries: 1, initialRetryTime: 50 },
    });
    const acknowledged: Acknowledged = new Map();
    loseResponses(2);
    await expect(sendPlainly(producer, topic, 'A', acknowledged)).rejects.toThrow();
    await sendPlainly(producer, topic, 'D', acknowledged);
    expect(await lost(topic, acknowledged)).toEqual(['D']);
  });

  test('the safe producer retries until both are where it says', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await safeProducer(topic);
    const acknowledged: Acknowledged = new Map();
    // Its client tries each send twice, so two sends fail and the third is acknowledged.
    loseResponses(4);
    await append(producer, 0, 'A', acknowledged);
    await append(producer, 0, 'D', acknowledged);
    expect(await misplaced(topic, acknowledged)).toEqual([]);
  });
});

describe('a client that mistakes one broker for another after a connection has closed', () => {
  test('a plain send to one partition always reports success, and nothing is in the log', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await misaddressedClient(brokers, topic);
    closing.push(() => producer.disconnect());
    const values = Array.from({ length: 20 }, (_, i) => `record ${String(i)}`);
    for (const value of values) {
      const messages = [{ partition: 1, value }];
      expect(await producer.send({ topic, acks: -1, messages })).toEqual([]);
    }
    expect(await lost(topic, acknowledgedAs(values))).toEqual(values);
  });

  test('the safe producer replaces the client, and its records are where it says', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const broken = await misaddressedClient(brokers, topic);
    let clients = 0;
    const producer = await safeProducer(topic, () =>
      clients++ === 0 ? broken : createProducer(createKafka('test', [brokers.addressOf(1)])),
    );
    const acknowledged: Acknowledged = new Map();
    for (const i of [1, 2, 3]) await append(producer, 1, `record ${String(i)}`, acknowledged);
    expect(clients).toBe(2);
    expect(await misplaced(topic, acknowledged)).toEqual([]);
  });
});

describe('readLog', () => {
  test('reads each record once when its consumer loses the connection while it joins', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await safeProducer(topic);
    const acknowledged: Acknowledged = new Map();
    await append(producer, 0, 'A', acknowledged);
    await append(producer, 1, 'B', acknowledged);
    let cuts = 0;
    for (const proxy of Object.values(brokers.proxies)) {
      proxy.onResponse = (kind) => (kind === 'join-group' && cuts++ === 0 ? 'cut' : 'pass');
    }
    const read: string[] = [];
    const kafka = createKafka('test', [brokers.addressOf(1)]);
    await readLog(kafka, topic, { fromOffset: '0', msMax: 20_000 }, ({ value }) => {
      read.push(String(value));
    });
    expect(read.sort()).toEqual(['A', 'B']);
    expect(cuts).toBeGreaterThan(1);
  });
});
