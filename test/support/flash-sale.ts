import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Engine } from './engine';

const MAIN = join(__dirname, '..', '..', 'cli', 'flash-sale.mjs');

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** The parsed output of --json. */
  readonly json: () => unknown;
}

/** Runs the real command `flash-sale` against the engine of a test. */
export function flashSale(engine: Engine, ...words: string[]): Promise<Ran> {
  const { topics } = engine;
  const env = {
    ...process.env,
    REDIS_ADDR: engine.redisAddr,
    FLASH_SALE_URL: engine.gateway,
    PAYMENT_URL: engine.payments,
    ORDERS_TOPIC: topics.ordersTopic,
    DLQ_TOPIC: topics.deadLetterTopic,
    CANCELLATIONS_TOPIC: topics.cancellationsTopic,
    OPERATOR_ACTIONS_TOPIC: topics.operatorActionsTopic,
    ORDER_EVENTS_TOPIC: topics.orderEventsTopic,
    TASK_QUEUE: engine.taskQueue,
    CONSUMER_GROUP: engine.consumerGroup,
  };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, ...words], { env }, (error, out, err) => {
      const code = error ? error.code : 0;
      if (typeof code === 'number')
        resolve({ code, out, err, json: () => JSON.parse(out) as unknown });
      else
        reject(new Error(`flash-sale ${words.join(' ')} did not exit by itself`, { cause: error }));
    });
  });
}
