import { Redis } from 'ioredis';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import Koa from 'koa';
import { readJson } from './koa-gateways';

const IDEMPOTENCY_TTL_SECONDS = 600;

export interface UsualDesignOptions {
  readonly redisAddr: string;
  readonly kafkaAddr: string;
  readonly topic: string;
}

/**
 * The gateway that most designs of this kind have: the request_id is claimed with SET NX, the order goes to Kafka
 * with one send() per request, then 202. It holds no stock, so it also accepts what can never be sold; it believes
 * what kafkajs reports; a request that dies in between has its id locked for ten minutes.
 */
export async function createUsualGateway(options: UsualDesignOptions): Promise<Koa> {
  const redis = new Redis(`redis://${options.redisAddr}`);
  // As the library comes: its sockets gather small requests, which suits a gateway that sends each order by itself.
  const kafka = new Kafka({
    clientId: 'usual-design',
    brokers: [options.kafkaAddr],
    logLevel: logLevel.NOTHING,
  });
  const producer = kafka.producer();
  await producer.connect();

  const app = new Koa();
  app.use(async (ctx) => {
    const order = await readJson(ctx.req);
    const key = `idempotency:usual:${order.request_id}`;
    const claimed = await redis.set(key, '1', 'EX', IDEMPOTENCY_TTL_SECONDS, 'NX');
    if (claimed === null) {
      ctx.status = 409;
      ctx.body = { request_id: order.request_id, status: 'duplicate' };
      return;
    }
    await append(producer, options.topic, order);
    ctx.status = 202;
    ctx.body = { request_id: order.request_id, status: 'queued' };
  });
  return app;
}

async function append(producer: Producer, topic: string, order: { request_id: string }) {
  const value = JSON.stringify({ ...order, accepted_at: Date.now() });
  await producer.send({ topic, messages: [{ key: order.request_id, value }] });
}
