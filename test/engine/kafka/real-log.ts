import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { createKafka, createProducer } from '../../../engine/kafka/kafka-client';
import { createSafeProducer, type SafeProducer } from '../../../engine/kafka/safe-producer';
import { ensureTopics, saleTopics } from '../../../engine/kafka/topics';
import { kafkaAddrs } from '../../support/addresses';

export const logger = pino({ level: 'silent' });

/** Topics on the real Kafka and what a test opens on them. `closeAll` closes it, newest first. */
export function useRealLog() {
  const closing: (() => Promise<unknown>)[] = [];
  const kafka = () => createKafka('test', kafkaAddrs());

  return {
    kafka,
    closing,
    /** Creates the topics of the engine under new names. */
    async topics() {
      const name = `test-${randomUUID().slice(0, 8)}`;
      const names = {
        ordersTopic: name,
        deadLetterTopic: `${name}-dlq`,
        cancellationsTopic: `${name}-cancelled`,
        operatorActionsTopic: `${name}-actions`,
        orderEventsTopic: `${name}-events`,
      };
      await ensureTopics(kafkaAddrs(), saleTopics(names));
      return names;
    },
    async producer(topic: string, partitions: number): Promise<SafeProducer> {
      const client = kafka();
      const producer = await createSafeProducer({
        createProducer: () => createProducer(client),
        topic,
        partitions,
        logger,
      });
      closing.push(() => producer.close(5_000));
      return producer;
    },
    async closeAll() {
      for (const close of closing.splice(0).reverse()) await close();
    },
  };
}
