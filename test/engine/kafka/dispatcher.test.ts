import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import {
  createDispatcher,
  UnavailableError,
  type RecordHandler,
} from '../../../engine/kafka/dispatcher';
import { createPartitionLog, type LogRecord } from '../../../engine/kafka/partition-log';

const SETTINGS = {
  underWayMax: 4,
  failingMax: 2,
  retryDelayMs: { min: 2, max: 5 },
  admitEveryMs: 2,
};

/** Ends the timers also of a test that has failed, which would keep the process alive. */
const stops: (() => Promise<void>)[] = [];
afterEach(() => Promise.all(stops.splice(0).map((stop) => stop())));

/** A dispatcher and one partition. The value of a record names its queue and itself, as in `hot 7`. */
function dispatcherOf(overrides: Partial<RecordHandler> = {}) {
  const handled: string[] = [];
  const state = { underWay: 0, underWayMax: 0 };
  const logger = pino({ level: 'silent' });
  const partition = createPartitionLog({
    number: 3,
    bytesMax: () => 1_000_000,
    uncommittedMax: 100_000,
    setPaused: () => undefined,
    logger,
  });
  const handle = overrides.handle ?? (() => sleep(1));
  const dispatcher = createDispatcher({
    handler: {
      queueOf: (record) => nameOf(record).split(' ')[0] ?? '',
      admit: () => true,
      ...overrides,
      handle: async (record) => {
        state.underWayMax = Math.max(state.underWayMax, ++state.underWay);
        try {
          await handle(record);
          handled.push(nameOf(record));
        } finally {
          state.underWay--;
        }
      },
    },
    logger,
    settings: SETTINGS,
  });
  stops.push(() => dispatcher.stop());
  let offset = 0;
  const add = (names: readonly string[], key: string | null = null) => {
    const messages = names.map((name) => ({
      offset: String(offset++),
      key: key === null ? null : Buffer.from(key),
      value: Buffer.from(name),
    }));
    const fetched = { topic: 'orders', partition: 3, messages, highWatermark: String(offset) };
    const accepted = partition.accept(fetched);
    if (accepted.kind === 'read') dispatcher.add(accepted.records, partition);
  };
  const finished = async (count: number) => {
    while (handled.length < count) await sleep(1);
  };
  return { dispatcher, partition, handled, state, add, finished };
}

const nameOf = ({ value }: LogRecord) => String(value);
const hot = (count: number) => Array.from({ length: count }, (_, n) => `hot ${n}`);
const away = () => Promise.reject(new UnavailableError('Temporal is away'));

describe('createDispatcher', () => {
  test('handles a record of a quiet queue long before a thousand that came earlier', async () => {
    const { handled, add, finished } = dispatcherOf();
    add([...hot(1_000), 'quiet 1', 'other 1']);
    await finished(30);
    expect(handled).toEqual(expect.arrayContaining(['quiet 1', 'other 1']));
  });

  test('handles some at a time', async () => {
    const { state, add, finished } = dispatcherOf();
    add(hot(20));
    await finished(20);
    expect(state.underWayMax).toBe(SETTINGS.underWayMax);
  });

  test('handles the records of one key one after the other, in the order of the log', async () => {
    const { handled, state, add, finished } = dispatcherOf();
    add(['a 1', 'b 2', 'a 3'], 'one key');
    await finished(3);
    expect(handled).toEqual(['a 1', 'b 2', 'a 3']);
    expect(state.underWayMax).toBe(1);
  });

  test('handles others while a queue has no room, and asks again', async () => {
    let room = false;
    const { handled, add, finished } = dispatcherOf({ admit: (queue) => room || queue !== 'hot' });
    add([...hot(10), 'quiet 1']);
    await finished(1);
    await sleep(10);
    expect(handled).toEqual(['quiet 1']);
    room = true;
    await finished(11);
  });
});

describe('a record that fails', () => {
  test('is retried until it is finished, and nothing is committed beyond it', async () => {
    let tries = 0;
    const { partition, add, finished } = dispatcherOf({
      handle: (record) => (nameOf(record) === 'hot 0' && ++tries < 6 ? away() : Promise.resolve()),
    });
    add(hot(3));
    await finished(2);
    expect(partition.position()).toBe(0n);
    await finished(3);
    expect(partition.position()).toBe(3n);
    expect(tries).toBe(6);
  });

  test('keeps its key', async () => {
    let failed = false;
    const { handled, add, finished } = dispatcherOf({
      handle: () => {
        if (failed) return Promise.resolve();
        failed = true;
        return away();
      },
    });
    add(['a 1', 'b 2'], 'one key');
    await finished(2);
    expect(handled).toEqual(['a 1', 'b 2']);
  });

  test('keeps no place from others, and few others of its queue try while it fails', async () => {
    const tried = new Set<string>();
    const { handled, add, finished } = dispatcherOf({
      handle: (record) => {
        tried.add(nameOf(record));
        return nameOf(record).startsWith('hot') ? away() : sleep(1);
      },
    });
    const quiet = Array.from({ length: 50 }, (_, n) => `quiet ${n}`);
    add([...hot(100), ...quiet]);
    await finished(50);
    expect(handled).toEqual(quiet);
    const most = SETTINGS.failingMax + SETTINGS.underWayMax;
    expect([...tried].filter((name) => name.startsWith('hot')).length).toBeLessThanOrEqual(most);
  });

  test('because of a bug is retried as well, and the others go on', async () => {
    const { partition, handled, add, finished } = dispatcherOf({
      handle: (record) =>
        nameOf(record) === 'a 1' ? Promise.reject(new TypeError('x is undefined')) : sleep(1),
    });
    add(['a 1', 'a 2', 'b 3']);
    await finished(2);
    expect(handled.sort()).toEqual(['a 2', 'b 3']);
    expect(partition.position()).toBe(0n);
  });
});

describe('stop', () => {
  test('finishes what is under way and takes nothing more', async () => {
    const { dispatcher, partition, handled, add } = dispatcherOf({ handle: () => sleep(10) });
    add(hot(50));
    await dispatcher.stop();
    expect(handled).toHaveLength(SETTINGS.underWayMax);
    expect(partition.position()).toBe(BigInt(SETTINGS.underWayMax));
    await sleep(20);
    expect(handled).toHaveLength(SETTINGS.underWayMax);
  });
});

describe('a partition that moves to another member', () => {
  test('has none of its waiting records handled, and frees their keys', async () => {
    const { dispatcher, partition, handled, add, finished } = dispatcherOf();
    add(hot(50), 'one key');
    partition.leave();
    await finished(1);
    await sleep(20);
    expect(handled).toEqual(['hot 0']);
    await dispatcher.stop();
  });
});
