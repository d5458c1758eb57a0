import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { ensureTopics, saleTopics } from '../engine/kafka/topics';
import type { Env } from '../platform/config';
import { LOOPBACK } from '../platform/machine';
import type { Checkout } from './checkout';
import { ENGINE, type EngineName, type EngineProcess } from './engine';
import { freePorts } from './settings';

export type EngineInstance = Awaited<ReturnType<typeof createEngineInstance>>;

/** A process of an instance, as it was started. */
export interface InstanceProcess extends EngineProcess {
  readonly name: EngineName;
  readonly port: number;
}

/**
 * An engine with topics, consumer group, task queue and payment ledger of its own, on servers that it may share with
 * others. Its processes are started one by one. `env` is what each of them gets, the servers' addresses included.
 */
export async function createEngineInstance(options: {
  /** Whose programs its processes are. */
  readonly checkout: Pick<Checkout, 'root' | 'startEngineProcess'>;
  readonly kafka: Parameters<typeof ensureTopics>[0];
  /** For logs and the payment ledger. */
  readonly dataDir: string;
  readonly env: Env;
  readonly signal: AbortSignal;
  /** Node options by the name of the log file. */
  readonly nodeOptions?: (logName: string) => readonly string[];
}) {
  const { checkout, kafka, dataDir, signal } = options;
  const name = randomUUID().slice(0, 8);
  const topics = {
    ordersTopic: `orders-${name}`,
    deadLetterTopic: `orders-dlq-${name}`,
    cancellationsTopic: `orders-cancelled-${name}`,
    operatorActionsTopic: `operator-actions-${name}`,
    orderEventsTopic: `order-events-${name}`,
  };
  await ensureTopics(kafka, saleTopics(topics));
  const ports = await freePorts();
  const paymentUrl = `http://${LOOPBACK}:${ports.payment}`;
  const taskQueue = `orders-${name}`;
  const consumerGroup = `ingest-${name}`;
  const env: Env = {
    ...options.env,
    ORDERS_TOPIC: topics.ordersTopic,
    DLQ_TOPIC: topics.deadLetterTopic,
    CANCELLATIONS_TOPIC: topics.cancellationsTopic,
    OPERATOR_ACTIONS_TOPIC: topics.operatorActionsTopic,
    ORDER_EVENTS_TOPIC: topics.orderEventsTopic,
    CONSUMER_GROUP: consumerGroup,
    ARCHIVER_GROUP: `archiver-${name}`,
    TASK_QUEUE: taskQueue,
    PAYMENT_URL: paymentUrl,
    PAYMENT_LEDGER_FILE: join(dataDir, `payments-${name}.jsonl`),
    PAYMENT_WEBHOOK_URL: `http://${LOOPBACK}:${ports.gateway}/webhooks/payments`,
    PAYMENT_WEBHOOK_SECRET: `whsec_${name}`,
  };
  const starting: Promise<InstanceProcess>[] = [];
  const isStarted = new Set<EngineName>();

  const startOne = async (
    part: EngineName,
    own: Env,
    { root, startEngineProcess }: Pick<Checkout, 'root' | 'startEngineProcess'>,
  ): Promise<InstanceProcess> => {
    const isFirst = !isStarted.has(part);
    isStarted.add(part);
    // Ports of one choice differ from one another. The payment simulator keeps the one that the others know.
    const chosen = isFirst || part === 'simulator' ? ports : await freePorts();
    const port = chosen[ENGINE[part].port];
    const logName = `${part}-${port}`;
    const started = await startEngineProcess(root, part, {
      port,
      adminPort: chosen.admin,
      env: { ...env, ...own },
      logFile: join(dataDir, `${logName}.log`),
      nodeOptions: options.nodeOptions?.(logName) ?? [],
      signal,
    });
    return { ...started, name: part, port };
  };
  return {
    topics,
    taskQueue,
    consumerGroup,
    /** Base URL of the payment simulator. */
    paymentUrl,
    /** What every process of it gets. */
    env,
    /**
     * Starts one process and waits until it is ready. `own` overrides what all processes get. The process is a program of
     * `from`, if given, instead of the instance's own checkout.
     */
    start: (part: EngineName, own: Env = {}, from = checkout): Promise<InstanceProcess> => {
      const process = startOne(part, own, from);
      starting.push(process);
      return process;
    },
    /** Stops every process, also those that are still starting. The simulator is the last: the others call it. */
    stop: async (): Promise<void> => {
      const settled = await Promise.allSettled(starting);
      const started = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      const isSimulator = ({ name: part }: InstanceProcess) => part === 'simulator';
      const others = started.filter((one) => !isSimulator(one));
      await Promise.all(others.map((one) => one.stop()));
      await Promise.all(started.filter(isSimulator).map((one) => one.stop()));
    },
  };
}
