import type { Producer, ProducerRecord, RecordMetadata } from 'kafkajs';
import { pino } from 'pino';
import {
  createSafeProducer,
  type SafeProducer,
  type SafeProducerOptions,
} from '../../../engine/kafka/safe-producer';

export const TOPIC = 'orders';
export const TIMING = {
  ackMsMax: 40,
  connectMsMax: 40,
  disconnectMsMax: 40,
  retryDelayMs: { min: 1, max: 4 },
};

/** How one send through the fake fails. */
export type Fault =
  /** Resolves with an empty result and writes nothing. */
  | 'empty-result'
  /** Resolves with a result for another partition only, and writes nothing. */
  | 'other-partition'
  /** Writes, then loses the answer. */
  | 'error-after-write'
  /** Fails before writing. */
  | 'error'
  /** Neither writes nor answers. */
  | 'silence';

/**
 * A log in memory and kafkajs producers that write to it. Unlike real ones they fail as told: `nextFault(client)` is
 * called for each send with the number of the client, 0 for the first.
 */
export function createFakeLog(nextFault: (client: number) => Fault | undefined) {
  const partitions = new Map<number, string[]>();
  const state = {
    clients: 0,
    inFlight: new Map<number, number>(),
    inFlightMax: 0,
    disconnected: 0,
  };

  function createProducer(): Producer {
    const client = state.clients++;
    const send = async ({ messages }: ProducerRecord): Promise<RecordMetadata[]> => {
      const partition = messages[0]?.partition ?? 0;
      if (messages.some((message) => message.partition !== partition)) {
        throw new Error('one send over several partitions');
      }
      const busy = (state.inFlight.get(partition) ?? 0) + 1;
      state.inFlight.set(partition, busy);
      state.inFlightMax = Math.max(state.inFlightMax, busy);
      await new Promise(setImmediate);
      state.inFlight.set(partition, busy - 1);
      const fault = nextFault(client);
      if (fault === 'silence') return new Promise(() => undefined);
      if (fault === 'empty-result') return [];
      if (fault === 'other-partition') return [ack(partition + 1, 0)];
      if (fault === 'error') throw new Error('connection closed');
      const log = partitions.get(partition) ?? [];
      partitions.set(partition, log);
      const baseOffset = log.length;
      log.push(...messages.map(({ value }) => String(value)));
      if (fault === 'error-after-write') throw new Error('request timed out');
      return [ack(partition, baseOffset)];
    };
    return {
      send,
      connect: () => Promise.resolve(),
      disconnect: () => {
        state.disconnected++;
        return Promise.resolve();
      },
    } as unknown as Producer;
  }

  return {
    createProducer,
    state,
    /** Everything in the log, repetitions included. */
    values: () => [...partitions.values()].flat(),
    at: (partition: number, offset: string) => partitions.get(partition)?.[Number(offset)],
  };
}

function ack(partition: number, baseOffset: number): RecordMetadata {
  return { topicName: TOPIC, partition, errorCode: 0, baseOffset: String(baseOffset) };
}

export const entry = (name: string) => ({ key: name, value: Buffer.from(name) });

/** The first client always has the fault, later ones have none. */
export const onFirstClient = (fault: Fault) => createFakeLog((n) => (n === 0 ? fault : undefined));

/** Starts safe producers on fake clients, and closes them after each test of the file. */
export function useSafeProducers() {
  const producers: SafeProducer[] = [];
  afterEach(async () => {
    for (const producer of producers.splice(0)) await producer.close(0);
  });
  return async (
    createProducer: SafeProducerOptions['createProducer'],
    options: Partial<SafeProducerOptions> = {},
  ): Promise<SafeProducer> => {
    const producer = await createSafeProducer({
      createProducer,
      topic: TOPIC,
      partitions: 3,
      timing: TIMING,
      logger: pino({ level: 'silent' }),
      ...options,
    });
    producers.push(producer);
    return producer;
  };
}
