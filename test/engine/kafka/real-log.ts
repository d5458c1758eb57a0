import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { createKafka, createProducer } from '../../../engine/kafka/kafka-client';
import { createSafeProducer, type SafeProducer } from '../../../engine/kafka/safe-producer';
import { ensureTopics, saleTopics } from '../../../engine/kafka/topics';
import { kafkaAddrs } from '../../support/addresses';

export const logger = pino({ level: 'silent' });

/** A topic of its own on the real Kafka, and what a test opens on it; `closeAll` closes it, newest first. */
export function useRealLog() {
  const closing: (() => Promise<unknown>)[] = [];
  const kafka = () => createKafka('test', kafkaAddrs());

  return {
    kafka,
    closing,
    /** Creates the pair of topics that the engine has, under names nobody else uses. */
    async topics() {
      const name = `test-${randomUUID().slice(0, 8)}`;
      const names = { ordersTopic: name, deadLetterTopic: `${name}-dlq` };
      await ensureTopics(kafkaAddrs(), saleTopics(names));
      return names;
    },
    async producer(topic: string, partitions: number): Promise<SafeProducer> {
      const client = kafka();
      const producer = await createSafeProducer({
        ...{ topic, partitions, logger },
        createProducer: () => createProducer(client),
      });
      closing.push(() => producer.close(5_000));
      return producer;
    },
    async closeAll() {
      for (const close of closing.splice(0).reverse()) await close();
    },
  };
}

/** Waits until `condition` holds, looking every 25 ms; says `what` was awaited when it never does. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  msMax = 15_000,
): Promise<void> {
  const deadline = Date.now() + msMax;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited ${msMax} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
