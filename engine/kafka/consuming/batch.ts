import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EachBatchPayload, IHeaders, KafkaMessage } from 'kafkajs';
import type { Logger } from '../../../platform/logger';
import { lagGauge } from './lag';

/** Records handed to the handler together; also what a crash between work and commit repeats per partition. */
const CHUNK_RECORDS = 50;

export interface BatchTiming {
  readonly heartbeatEveryMs: number;
  /** Pause before a chunk is tried again while something it needs is away. */
  readonly retryDelayMs: { readonly min: number; readonly max: number };
}

/** Something the handler needs gives no answer. Not the record's fault: it is tried again until it succeeds. */
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
 * pause; anything else is a bug and crashes the consumer. `signal` ends all waiting: the process stops or the partition
 * has gone to another member. Work under way is still to be finished.
 */
export type HandleChunk = (records: readonly LogRecord[], signal: AbortSignal) => Promise<void>;

/** Makes the commit that it is given, once. */
export type AroundCommit = (commit: () => Promise<void>) => Promise<void>;

interface Deps {
  readonly handle: HandleChunk;
  readonly logger: Logger;
  readonly timing: BatchTiming;
  readonly stopping: AbortSignal;
  readonly aroundCommit?: AroundCommit;
}

/** Works through one fetch of one partition, chunk by chunk, and commits behind each. Throws what a commit or the membership throws. */
export async function consumeBatch(payload: EachBatchPayload, deps: Deps): Promise<void> {
  const { topic, partition, messages, highWatermark } = payload.batch;
  for (let start = 0; start < messages.length; start += CHUNK_RECORDS) {
    if (deps.stopping.aborted || !payload.isRunning() || payload.isStale()) return;
    const records = messages
      .slice(start, start + CHUNK_RECORDS)
      .map((message) => toRecord(topic, partition, message));
    const last = records.at(-1);
    if (!last) return;
    if (!(await finishChunk(records, payload, deps))) return;
    const next = BigInt(last.offset) + 1n;
    payload.resolveOffset(last.offset);
    // Only our own partition: the library's list of uncommitted offsets covers those other workers are busy with.
    const offsets = { topics: [{ topic, partitions: [{ partition, offset: String(next) }] }] };
    const commit = () => payload.commitOffsetsIfNecessary(offsets);
    await (deps.aroundCommit?.(commit) ?? commit());
    lagGauge()
      .labels({ topic, partition })
      .set(Number(BigInt(highWatermark) - next));
    await payload.heartbeat();
  }
}

/**
 * Has the chunk handled, however often it takes, and keeps the membership alive meanwhile. False when the process stops
 * first: the chunk then comes again after the next start. Throws the library's own error when the membership is lost, which makes it rejoin.
 */
async function finishChunk(
  records: readonly LogRecord[],
  payload: EachBatchPayload,
  { handle, logger, timing, stopping }: Deps,
): Promise<boolean> {
  const waiting = new AbortController();
  // A handler may wait in as many places at once as it has records.
  setMaxListeners(0, waiting.signal);
  const stopWaiting = () => {
    waiting.abort();
  };
  stopping.addEventListener('abort', stopWaiting);
  const heartbeats = keepAlive(() => payload.heartbeat(), timing.heartbeatEveryMs, stopWaiting);
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await handle(records, waiting.signal);
        return true;
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        logger.warn(
          { fault: faultChain(error), attempt, ...placeOf(records) },
          'cannot go on for now',
        );
        if (waiting.signal.aborted) break;
        await pause(attempt, timing, waiting.signal);
      }
    }
  } finally {
    stopping.removeEventListener('abort', stopWaiting);
    heartbeats.stop();
  }
  if (heartbeats.fault() !== undefined) throw heartbeats.fault();
  return false;
}

/** Beats until stopped. The first beat that fails is remembered and reported: the chunk may no longer be ours. */
function keepAlive(heartbeat: () => Promise<void>, everyMs: number, onLost: () => void) {
  let fault: unknown;
  let beating = false;
  const timer = setInterval(() => {
    if (beating || fault !== undefined) return;
    beating = true;
    heartbeat()
      .catch((error: unknown) => {
        fault = error;
        onLost();
      })
      .finally(() => {
        beating = false;
      });
  }, everyMs);
  return {
    fault: () => fault,
    stop: () => {
      clearInterval(timer);
    },
  };
}

/** Doubles from try to try up to the bound, with jitter; ends early when `signal` fires. */
async function pause(attempt: number, { retryDelayMs }: BatchTiming, signal: AbortSignal) {
  const { min, max } = retryDelayMs;
  const delayMs = Math.min(max, min * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2);
  await sleep(delayMs, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function toRecord(topic: string, partition: number, message: KafkaMessage): LogRecord {
  const { offset, key, value, headers = {} } = message;
  return { topic, partition, offset, key, value, headers };
}

/** The messages from the outermost to the root, without their stacks: an outage repeats them every few seconds. */
function faultChain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${faultChain(error.cause)}`;
}

function placeOf(records: readonly LogRecord[]) {
  return { partition: records[0]?.partition, from: records[0]?.offset, count: records.length };
}
