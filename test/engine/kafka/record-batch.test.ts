import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Message } from 'kafkajs';
import { createKafka } from '../../../engine/kafka/kafka-client';
import { propertyRuns } from '../../support/property-runs';

interface Produce {
  readonly acks: number;
  readonly timeout: number;
  readonly compression: number;
  readonly transactionalId?: string | null;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly firstSequence: number;
      readonly messages: readonly Message[];
    }[];
  }[];
}
interface Request {
  encode(): Promise<{ readonly buffer: Buffer }>;
}

const load = createRequire(__filename);
const NOW = 1_764_323_423_423;

/** The body of the request. */
async function bytesOf(request: Request): Promise<string> {
  return (await request.encode()).buffer.toString('hex');
}

function ofEngine(version: number, produce: Produce): Promise<string> {
  createKafka('test', ['127.0.0.1:1']);
  const { protocol } = load('kafkajs/src/protocol/requests/produce') as {
    protocol: (version: { version: number }) => (produce: Produce) => { request: Request };
  };
  return bytesOf(protocol({ version })(produce).request);
}

function ofKafkajs(version: number, produce: Produce): Promise<string> {
  const path = `kafkajs/src/protocol/requests/produce/v${String(version)}/request`;
  return bytesOf((load(path) as (produce: Produce) => Request)(produce));
}

function produceOf(messages: readonly Message[], rest: Partial<Produce> = {}): Produce {
  return {
    acks: -1,
    timeout: 2_000,
    compression: 0,
    producerId: -1,
    producerEpoch: 0,
    topicData: [{ topic: 'orders', partitions: [{ partition: 3, firstSequence: 0, messages }] }],
    ...rest,
  };
}

beforeEach(() => jest.useFakeTimers({ now: NOW, doNotFake: ['nextTick', 'setImmediate'] }));
afterEach(() => jest.useRealTimers());

/** Any lengths, and those at which a varint gets a byte longer. */
const bytes = fc
  .oneof(fc.constantFrom(0, 1, 63, 64, 8_191, 8_192), fc.nat(300))
  .map((length) => Buffer.alloc(length, 'x'));
const key = fc.oneof(fc.string({ maxLength: 80 }), fc.string({ unit: 'grapheme', maxLength: 20 }));
const plain: fc.Arbitrary<Message> = fc.record({ key, value: bytes });
const odd: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ key: fc.constant(null), value: bytes }),
  fc.record({ key: bytes, value: bytes }),
  fc.record({ key, value: fc.constant(null) }),
  fc.record({ key, value: fc.string() }),
  fc.record({ key, value: bytes, headers: fc.constant({ reason: 'sold-out' }) }),
  fc.record({ key, value: bytes, timestamp: fc.constant(String(NOW - 5)) }),
);

function oneOddAmong(others: fc.Arbitrary<Message[]>): fc.Arbitrary<Message[]> {
  return fc.tuple(others, odd, others).map(([before, one, after]) => [...before, one, ...after]);
}

describe('a Produce request', () => {
  test.each([3, 4, 5, 6, 7])(
    'of version %i has the bytes of kafkajs, whatever the records',
    async (version) => {
      const messages = fc.oneof(
        { weight: 2, arbitrary: fc.array(plain, { minLength: 1, maxLength: 140 }) },
        { weight: 1, arbitrary: oneOddAmong(fc.array(plain, { maxLength: 3 })) },
        { weight: 1, arbitrary: fc.constant([]) },
      );
      await fc.assert(
        fc.asyncProperty(messages, async (messages) => {
          const produce = produceOf(messages);
          expect(await ofEngine(version, produce)).toBe(await ofKafkajs(version, produce));
        }),
        propertyRuns(60),
      );
    },
  );

  const one = [{ key: 'k', value: Buffer.from('v') }];
  const partition = (id: number) => ({ partition: id, firstSequence: 0, messages: one });
  test.each<[string, Partial<Produce>]>([
    ['a transaction', { transactionalId: 't' }],
    ['an idempotent producer', { producerId: 7, producerEpoch: 2 }],
    ['compression', { compression: 1 }],
    ['two partitions', { topicData: [{ topic: 'orders', partitions: [0, 1].map(partition) }] }],
    [
      'two topics',
      { topicData: ['a', 'b'].map((topic) => ({ topic, partitions: [partition(0)] })) },
    ],
    ['no topic', { topicData: [] }],
  ])('with %s is encoded by kafkajs', async (_what, rest) => {
    const produce = produceOf(one, rest);
    expect(await ofEngine(7, produce)).toBe(await ofKafkajs(7, produce));
  });

  test('of a version that was not compared is encoded by kafkajs', async () => {
    const produce = produceOf(one);
    expect(await ofEngine(2, produce)).toBe(await ofKafkajs(2, produce));
  });
});
