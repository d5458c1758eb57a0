import { pino } from 'pino';
import {
  createSafeProducer,
  type SafeProducer,
  type SafeProducerOptions,
} from '../../../engine/kafka/safe-producer';
import { createFakeLog, type Fault } from './fake-kafka-log';

export const TOPIC = 'orders';
export const TIMING = {
  ackMsMax: 40,
  connectMsMax: 40,
  disconnectMsMax: 40,
  retryDelayMs: { min: 1, max: 4 },
};

export const entry = (name: string) => ({ key: name, value: Buffer.from(name) });

/** The first client has the fault for ever, every later one is sound. */
export const onFirstClient = (fault: Fault) =>
  createFakeLog(TOPIC, (n) => (n === 0 ? fault : undefined));

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
      ...{ createProducer, topic: TOPIC, partitions: 3, timing: TIMING },
      logger: pino({ level: 'silent' }),
      ...options,
    });
    producers.push(producer);
    return producer;
  };
}
