import { performance } from 'node:perf_hooks';
import type { Logger } from '../../platform/logger';
import { describeError } from '../../platform/user-error';
import { createFairQueues, type Waiting } from './fair-queues';
import type { LogRecord, PartitionLog } from './partition-log';

/** A dependency of the handler does not answer. The record is not at fault and is retried until it succeeds. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}

/** What a consumer does with the records of a topic. */
export interface RecordHandler {
  /** The queue in which a record waits. Queues are served in turn. */
  readonly queueOf: (record: LogRecord) => string;
  /** Whether a record of this queue may be handled now. After `true`, `handle` is called at once. */
  readonly admit: (queue: string) => boolean;
  /**
   * Finishes a record, or throws and gets it again after a delay: UnavailableError while a dependency is away, anything
   * else for a bug. Records with one key come one after the other, in the order of the log.
   */
  readonly handle: (record: LogRecord) => Promise<void>;
}

export const DISPATCH = {
  /** Enough to hide the round trip of a start, too few to overload the server. */
  underWayMax: 20,
  /** Records of a queue that may be failing, each with a delay of its own, before the others of the queue wait. */
  failingMax: 5,
  retryDelayMs: { min: 200, max: 5_000 },
  /** How often `admit` is asked again while it admits none. */
  admitEveryMs: 50,
};

interface Task extends Waiting {
  readonly record: LogRecord;
  readonly partition: PartitionLog;
  failures: number;
}

/**
 * Hands records to the handler, some at a time and in turn by queue, so that neither the backlog nor the trouble of one
 * queue delays the others.
 */
export function createDispatcher(options: {
  readonly handler: RecordHandler;
  readonly logger: Logger;
  readonly settings?: typeof DISPATCH;
}) {
  const { handler, logger, settings = DISPATCH } = options;
  const queues = createFairQueues<Task>();
  /** Unfinished records that have failed, by queue. */
  const failing = new Map<string, number>();
  const warn = createOutageWarning(logger);
  let underWay = 0;
  let stopping = false;
  let onIdle: (() => void) | undefined;
  let nextPump: NodeJS.Timeout | undefined;

  function pump(): void {
    clearTimeout(nextPump);
    while (!stopping && underWay < settings.underWayMax) {
      const task = queues.take(mayGo);
      if (!task) break;
      if (task.partition.assigned) void run(task);
      else finish(task);
    }
    if (stopping || queues.isEmpty || underWay >= settings.underWayMax) return;
    nextPump = setTimeout(pump, settings.admitEveryMs);
  }

  function mayGo({ queue, failures, partition }: Task): boolean {
    // It is only removed.
    if (!partition.assigned) return true;
    if (failures === 0 && (failing.get(queue) ?? 0) >= settings.failingMax) return false;
    return handler.admit(queue);
  }

  async function run(task: Task): Promise<void> {
    underWay++;
    try {
      await handler.handle(task.record);
      finish(task);
    } catch (error) {
      retryLater(task, error);
    } finally {
      underWay--;
      if (underWay === 0) onIdle?.();
      pump();
    }
  }

  function finish(task: Task): void {
    if (task.failures > 0) countFailing(task.queue, -1);
    task.partition.finish(task.record);
    queues.done(task);
  }

  /** In the delay others use its place. */
  function retryLater(task: Task, error: unknown): void {
    if (task.failures === 0) countFailing(task.queue, 1);
    const delayMs = retryDelayMs(task.failures, settings.retryDelayMs);
    task.failures++;
    const { partition, offset } = task.record;
    const fields = { partition, offset, queue: task.queue, attempt: task.failures };
    if (error instanceof UnavailableError) warn(fields, error);
    else logger.error({ err: error, ...fields }, 'a record cannot be handled: it will be retried');
    setTimeout(() => {
      queues.putBack(task);
      pump();
    }, delayMs).unref();
  }

  function countFailing(queue: string, change: 1 | -1): void {
    const count = (failing.get(queue) ?? 0) + change;
    if (count > 0) failing.set(queue, count);
    else failing.delete(queue);
  }

  return {
    add(records: readonly LogRecord[], partition: PartitionLog): void {
      for (const record of records) {
        const queue = handler.queueOf(record);
        queues.add({ record, partition, queue, key: record.key?.toString(), failures: 0 });
      }
      pump();
    },

    /** Takes no more records, and resolves once none is under way. */
    async stop(): Promise<void> {
      stopping = true;
      clearTimeout(nextPump);
      if (underWay > 0) await new Promise<void>((resolve) => (onIdle = resolve));
    },
  };
}

const WARN_EVERY_MS = 1_000;

/** An outage makes every record fail, so it warns of one record a second, and without the stack. */
function createOutageWarning(logger: Logger) {
  let warnedAt = -Infinity;
  return (fields: object, error: UnavailableError): void => {
    if (performance.now() - warnedAt < WARN_EVERY_MS) return;
    warnedAt = performance.now();
    const line = { error: describeError(error), ...fields };
    logger.warn(line, 'a dependency is away: the record will be retried');
  };
}

/** Exponential up to the bound, with jitter. */
function retryDelayMs(failures: number, { min, max }: (typeof DISPATCH)['retryDelayMs']): number {
  return Math.min(max, min * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
}
