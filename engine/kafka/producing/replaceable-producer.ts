import type { Producer } from 'kafkajs';
import type { Logger } from '../../../platform/logger';
import { within } from '../within';

/** Bounds on one Kafka client. */
export interface ReplacementTiming {
  readonly connectMsMax: number;
  /** How long a retired client may take to close its sockets. */
  readonly disconnectMsMax: number;
}

/** A client and when it was put to use, in milliseconds since the epoch. */
export interface ProducerInUse {
  readonly producer: Producer;
  readonly since: number;
}

/**
 * Holds one connected Kafka client and swaps it for a new one. A client can get into a state in which it addresses the
 * wrong broker, or a dead socket, for ever: only new sockets and new metadata help.
 */
export interface ReplaceableProducer {
  current(): ProducerInUse;
  /**
   * Puts a new client in the place of `broken`. Does nothing when that one has been replaced already, or after
   * `disconnect`; callers that come
   * while a replacement is being made wait for it. When no new client can connect, the old one stays.
   */
  replace(broken: ProducerInUse, reason: Error): Promise<void>;
  disconnect(): Promise<void>;
}

/** Connects the first client. Throws when that one cannot connect. `onReplaced` counts. */
export async function connectReplaceableProducer(
  create: () => Producer,
  { timing, logger, onReplaced }: Deps,
): Promise<ReplaceableProducer> {
  let inUse: ProducerInUse = {
    producer: await connected(create, timing, logger),
    since: Date.now(),
  };
  let replacing: Promise<void> | undefined;
  let retired = false;

  async function swap(reason: Error): Promise<void> {
    logger.warn({ err: reason }, 'replacing the Kafka producer');
    try {
      const producer = await connected(create, timing, logger);
      const old = inUse.producer;
      inUse = { producer, since: Date.now() };
      onReplaced();
      // Not awaited: what the old client still has on the wire fails now, and its owners send it again through the new one.
      void disconnected(old, timing, logger);
    } catch (error) {
      logger.warn({ err: error }, 'no new Kafka producer could connect; going on with the old one');
    } finally {
      replacing = undefined;
    }
  }

  return {
    current: () => inUse,
    replace: async (broken, reason) => {
      if (retired || broken !== inUse) return;
      replacing ??= swap(reason);
      await replacing;
    },
    disconnect: async () => {
      retired = true;
      // A client that is still connecting would otherwise outlive the process's goodbye.
      await replacing;
      await disconnected(inUse.producer, timing, logger);
    },
  };
}

interface Deps {
  readonly timing: ReplacementTiming;
  readonly logger: Logger;
  readonly onReplaced: () => void;
}

async function connected(
  create: () => Producer,
  timing: ReplacementTiming,
  logger: Logger,
): Promise<Producer> {
  const producer = create();
  try {
    await within(producer.connect(), timing.connectMsMax, 'connecting a Kafka producer');
    return producer;
  } catch (error) {
    // Not awaited: the next try must not wait for the sockets of one that never worked.
    void disconnected(producer, timing, logger);
    throw error;
  }
}

async function disconnected(producer: Producer, timing: ReplacementTiming, logger: Logger) {
  try {
    await within(producer.disconnect(), timing.disconnectMsMax, 'closing a Kafka producer');
  } catch (error) {
    logger.warn({ err: error }, 'a Kafka producer did not close');
  }
}
