/**
 * The four ways in which kafkajs 2.2.4 reports what it has not written, each on real brokers: a plain use of the library
 * shows the fault (so that a version without it is noticed), and the safe producer under the same fault does not. And one
 * in which its consumer starts anew on its way.
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

/** As the library's own guide has it. */
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
    ...{ topic, logger, createProducer: create },
    partitions: 2,
  });
  closing.push(() => producer.close(5_000));
  return producer;
}

/** What was acknowledged: under each value, the place that the acknowledgement names, if any. */
type Acknowledged = Map<string, Place>;
type Place = { readonly partition: number | undefined; readonly offset: string | undefined };

/** For what the library has called done without saying where. */
const SOMEWHERE: Place = { partition: undefined, offset: undefined };
const acknowledgedAs = (values: readonly string[]): Acknowledged =>
  new Map(values.map((value) => [value, SOMEWHERE]));

/** Of what was acknowledged, that which is nowhere in the log. */
async function lost(topic: string, acknowledged: Acknowledged): Promise<string[]> {
  const values = new Set((await brokers.read(topic)).values());
  return [...acknowledged.keys()].filter((value) => !values.has(value));
}

/** Of what was acknowledged, that which is not at the place that the acknowledgement names. */
async function misplaced(topic: string, acknowledged: Acknowledged): Promise<string[]> {
  const log = await brokers.read(topic);
  return [...acknowledged]
    .filter(([value, at]) => log.get(`${String(at.partition)}@${String(at.offset)}`) !== value)
    .map(([value]) => value);
}

/** Sends to partition 0 and notes it when the library calls it done. */
async function sendPlainly(producer: Producer, topic: string, value: string, into: Acknowledged) {
  const messages = [{ partition: 0, value }];
  const [answer] = await producer.send({ topic, acks: -1, messages });
  into.set(value, { partition: answer?.partition, offset: answer?.baseOffset });
}

/** Two keys: 0 belongs to the first of two partitions, 1 to the second. */
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

describe('one send to partitions of two brokers, after one of them has moved to the other', () => {
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

/** Breaks the connection in place of the next `count` answers to a produce request: they were written. */
function loseAnswers(count: number): void {
  let left = count;
  brokers.proxies[1].onAnswer = (kind) => (kind === 'produce' && left-- > 0 ? 'cut' : 'pass');
}

describe('sends at the same time, one of whose answers is lost', () => {
  test('an idempotent plain producer reports a record that is not in the log', async () => {
    const topic = await brokers.topicLedBy(1);
    const producer = await plainProducer({ idempotent: true });
    const acknowledged: Acknowledged = new Map();
    loseAnswers(1);
    await Promise.all(
      ['A', 'B', 'C'].map((value) => sendPlainly(producer, topic, value, acknowledged)),
    );
    expect(await lost(topic, acknowledged)).toEqual(['C']);
  });

  test('the safe producer acknowledges all, and they are where it says', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await safeProducer(topic);
    const acknowledged: Acknowledged = new Map();
    loseAnswers(1);
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

describe('a send given up after its answers were lost, and then another', () => {
  test('an idempotent plain producer with few retries reports a record that is not in the log', async () => {
    const topic = await brokers.topicLedBy(1);
    const producer = await plainProducer({
      ...{ idempotent: true, retry: { retries: 1, initialRetryTime: 50 } },
    });
    const acknowledged: Acknowledged = new Map();
    loseAnswers(2);
    await expect(sendPlainly(producer, topic, 'A', acknowledged)).rejects.toThrow();
    await sendPlainly(producer, topic, 'D', acknowledged);
    expect(await lost(topic, acknowledged)).toEqual(['D']);
  });

  test('the safe producer gives nothing up, and both are where it says', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await safeProducer(topic);
    const acknowledged: Acknowledged = new Map();
    // Its own client tries twice: it takes two failed sends until the third is answered.
    loseAnswers(4);
    await append(producer, 0, 'A', acknowledged);
    await append(producer, 0, 'D', acknowledged);
    expect(await misplaced(topic, acknowledged)).toEqual([]);
  });
});

describe('a client that takes one broker for another after a connection has closed', () => {
  test('a plain send to one partition reports success for ever, and nothing is in the log', async () => {
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

  test('the safe producer replaces that client, and what it acknowledges is where it says', async () => {
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
  test('reads each record once when its consumer has lost its connection while it joined', async () => {
    const topic = await brokers.topicLedBy(1, 2);
    const producer = await safeProducer(topic);
    const acknowledged: Acknowledged = new Map();
    await append(producer, 0, 'A', acknowledged);
    await append(producer, 1, 'B', acknowledged);
    let cuts = 0;
    for (const proxy of Object.values(brokers.proxies)) {
      proxy.onAnswer = (kind) => (kind === 'join-group' && cuts++ === 0 ? 'cut' : 'pass');
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
