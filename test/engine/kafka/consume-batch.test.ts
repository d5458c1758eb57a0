import type { EachBatchPayload } from 'kafkajs';
import { pino } from 'pino';
import {
  consumeBatch,
  UnavailableError,
  type LogRecord,
} from '../../../engine/kafka/consume-batch';

const TIMING = { heartbeatEveryMs: 2, retryDelayMs: { min: 1, max: 3 } };

/** One fetch of `count` records of partition 3, and what the consumer sends to Kafka for it. */
function fetchOf(count: number, heartbeat: () => Promise<void> = () => Promise.resolve()) {
  const messages = Array.from({ length: count }, (_, i) => ({
    key: null,
    value: Buffer.from(String(i)),
    headers: {},
    timestamp: '0',
    attributes: 0,
    offset: String(100 + i),
  }));
  const commits: string[] = [];
  const beats = { count: 0 };
  const payload = {
    batch: { topic: 'orders', partition: 3, messages, highWatermark: '1000' },
    resolveOffset: () => undefined,
    heartbeat: () => {
      beats.count++;
      return heartbeat();
    },
    commitOffsetsIfNecessary: ({ topics }: { topics: { partitions: unknown[] }[] }) => {
      commits.push(JSON.stringify(topics[0]?.partitions));
      return Promise.resolve();
    },
    isRunning: () => true,
    isStale: () => false,
  } as unknown as EachBatchPayload;
  return { payload, commits, beats };
}

type Handle = (records: readonly LogRecord[], signal: AbortSignal) => Promise<void>;

const contextOf = (handle: Handle, stopping = new AbortController().signal) => ({
  handle,
  stopping,
  timing: TIMING,
  logger: pino({ level: 'silent' }),
});

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener('abort', () => {
        resolve();
      });
  });

describe('consumeBatch', () => {
  test('commits after each chunk, for its own partition only', async () => {
    const { payload, commits } = fetchOf(120);
    const sizes: number[] = [];
    await consumeBatch(
      payload,
      contextOf((records) => {
        sizes.push(records.length);
        return Promise.resolve();
      }),
    );
    expect(sizes).toEqual([50, 50, 20]);
    expect(commits).toEqual(
      [150, 200, 220].map((offset) => JSON.stringify([{ partition: 3, offset: String(offset) }])),
    );
  });

  test('retries the same records while a dependency is away, with heartbeats and without a commit', async () => {
    const { payload, commits, beats } = fetchOf(3);
    const given: (readonly LogRecord[])[] = [];
    let commitsSeen = -1;
    await consumeBatch(
      payload,
      contextOf((records) => {
        given.push(records);
        commitsSeen = commits.length;
        return given.length < 12
          ? Promise.reject(new UnavailableError('Temporal is away'))
          : Promise.resolve();
      }),
    );
    expect(new Set(given).size).toBe(1);
    expect(commitsSeen).toBe(0);
    expect(beats.count).toBeGreaterThan(1);
    expect(commits).toHaveLength(1);
  });

  test('throws a bug of the handler and commits nothing', async () => {
    const { payload, commits } = fetchOf(60);
    const bug = () => Promise.reject(new TypeError('x is undefined'));
    await expect(consumeBatch(payload, contextOf(bug))).rejects.toThrow('x is undefined');
    expect(commits).toEqual([]);
  });

  test('throws the error of a failed commit', async () => {
    const { payload } = fetchOf(1);
    const failing = {
      ...payload,
      commitOffsetsIfNecessary: () => Promise.reject(new Error('unknown member')),
    };
    const done = consumeBatch(
      failing,
      contextOf(() => Promise.resolve()),
    );
    await expect(done).rejects.toThrow('unknown member');
  });

  test('ends the wait of a handler when a heartbeat fails, and throws the error of the heartbeat', async () => {
    const { payload, commits } = fetchOf(1, () => Promise.reject(new Error('rebalancing')));
    const waits: Handle = async (_, signal) => {
      await aborted(signal);
      throw new UnavailableError('still waiting');
    };
    await expect(consumeBatch(payload, contextOf(waits))).rejects.toThrow('rebalancing');
    expect(commits).toEqual([]);
  });

  test('finishes and commits the current chunk when the process stops, and starts no other', async () => {
    const stopping = new AbortController();
    const { payload, commits } = fetchOf(100);
    const handled: number[] = [];
    const handle: Handle = (records) => {
      stopping.abort();
      handled.push(records.length);
      return Promise.resolve();
    };
    await consumeBatch(payload, contextOf(handle, stopping.signal));
    expect(handled).toEqual([50]);
    expect(commits).toHaveLength(1);
  });

  test('does not commit a chunk that still waits when the process stops', async () => {
    const stopping = new AbortController();
    const { payload, commits } = fetchOf(1);
    const handle: Handle = () => {
      setImmediate(() => {
        stopping.abort();
      });
      return Promise.reject(new UnavailableError('Temporal is away'));
    };
    await consumeBatch(payload, contextOf(handle, stopping.signal));
    expect(commits).toEqual([]);
  });
});
