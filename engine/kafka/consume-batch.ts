import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EachBatchPayload, IHeaders } from 'kafkajs';
import { Gauge, register } from 'prom-client';
import type { Logger } from '../../platform/logger';
import { describeError } from '../../platform/user-error';

/** Records given to the handler together. A crash between work and commit repeats so many per partition. */
const CHUNK_RECORDS = 50;

export const BATCH_TIMING = {
  heartbeatEveryMs: 1_000,
  /** Delay before a chunk is retried while a dependency is away. */
  retryDelayMs: { min: 200, max: 5_000 },
};

/** A dependency of the handler does not answer. The record is not at fault and is retried until it succeeds. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}

export interface LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: IHeaders;
}

/**
 * Finishes every record of a chunk of one partition, or throws: UnavailableError to get the same array again after a
 * delay; any other error is a bug and crashes the consumer. `signal` ends all waiting, because the process stops or the
 * partition has moved to another member; work in progress is still finished.
 */
export type HandleChunk = (records: readonly LogRecord[], signal: AbortSignal) => Promise<void>;

export interface BatchContext {
  readonly handle: HandleChunk;
  readonly logger: Logger;
  readonly stopping: AbortSignal;
  /** Calls `commit` once. Failpoints act before and after it. */
  readonly aroundCommit?: ((commit: () => Promise<void>) => Promise<void>) | undefined;
  readonly timing?: typeof BATCH_TIMING;
}

/** Handles one fetch of one partition chunk by chunk and commits after each. Throws when a commit fails or the membership is lost. */
export async function consumeBatch(
  payload: EachBatchPayload,
  context: BatchContext,
): Promise<void> {
  const { topic, partition, messages, highWatermark } = payload.batch;
  for (let start = 0; start < messages.length; start += CHUNK_RECORDS) {
    if (context.stopping.aborted || !payload.isRunning() || payload.isStale()) return;
    const records = messages.slice(start, start + CHUNK_RECORDS).map((message): LogRecord => {
      const { offset, key, value, headers = {} } = message;
      return { topic, partition, offset, key, value, headers };
    });
    const last = records.at(-1);
    if (!last) return;
    if (!(await finishChunk(records, payload, context))) return;
    const next = BigInt(last.offset) + 1n;
    payload.resolveOffset(last.offset);
    // Only this partition: kafkajs's own list of uncommitted offsets includes partitions that other workers handle.
    const offsets = { topics: [{ topic, partitions: [{ partition, offset: String(next) }] }] };
    const commit = () => payload.commitOffsetsIfNecessary(offsets);
    await (context.aroundCommit?.(commit) ?? commit());
    lagGauge()
      .labels({ topic, partition })
      .set(Number(BigInt(highWatermark) - next));
    await payload.heartbeat();
  }
}

/**
 * Retries the chunk until it is handled and sends heartbeats meanwhile. Returns false when the process stops first; the
 * chunk is delivered again after the next start. Throws kafkajs's own error when the membership is lost, which makes it
 * rejoin.
 */
async function finishChunk(
  records: readonly LogRecord[],
  payload: EachBatchPayload,
  { handle, logger, stopping, timing = BATCH_TIMING }: BatchContext,
): Promise<boolean> {
  const waiting = new AbortController();
  // Each record of the chunk may listen to it.
  setMaxListeners(0, waiting.signal);
  const stopWaiting = () => {
    waiting.abort();
  };
  stopping.addEventListener('abort', stopWaiting);
  const heartbeats = startHeartbeats(payload, timing.heartbeatEveryMs, stopWaiting);
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await handle(records, waiting.signal);
        return true;
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        const chunk = { partition: payload.batch.partition, from: records[0]?.offset };
        // Without the stack: an outage repeats this line every few seconds.
        const fields = { error: describeError(error), attempt, ...chunk, count: records.length };
        logger.warn(fields, 'a dependency is away: the chunk will be retried');
        if (waiting.signal.aborted) break;
        const delayMs = retryDelayMs(attempt, timing);
        // Rejects only when the signal fires, which ends the delay early.
        await sleep(delayMs, undefined, { signal: waiting.signal }).catch(() => undefined);
      }
    }
  } finally {
    stopping.removeEventListener('abort', stopWaiting);
    heartbeats.stop();
  }
  if (heartbeats.error() !== undefined) throw heartbeats.error();
  return false;
}

/** Sends heartbeats until stopped. The first that fails is kept and reported: the chunk may belong to another member now. */
function startHeartbeats(payload: EachBatchPayload, everyMs: number, onLost: () => void) {
  let firstError: unknown;
  let sending = false;
  const timer = setInterval(() => {
    if (sending || firstError !== undefined) return;
    sending = true;
    payload
      .heartbeat()
      .catch((error: unknown) => {
        firstError = error;
        onLost();
      })
      .finally(() => {
        sending = false;
      });
  }, everyMs);
  return {
    error: () => firstError,
    stop: () => {
      clearInterval(timer);
    },
  };
}

/** Exponential up to the bound, with jitter. */
function retryDelayMs(attempt: number, { retryDelayMs: { min, max } }: typeof BATCH_TIMING) {
  return Math.min(max, min * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2);
}

/** Records that the consumer is behind, per topic and partition. Created on first use, once per process. */
export function lagGauge(): Gauge {
  const name = 'orderlog_consumer_lag_records';
  const existing = register.getSingleMetric(name);
  if (existing instanceof Gauge) return existing;
  return new Gauge({
    name,
    help: 'Records behind the end of the log, as of the last finished chunk',
    labelNames: ['topic', 'partition'],
  });
}
