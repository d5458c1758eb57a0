import { EventEmitter, once } from 'node:events';
import type { KafkaMessage } from 'kafkajs';
import { pino } from 'pino';
import { register } from 'prom-client';
import { createBatchArchiver } from '../../archiver/archive-batch';
import type { Delivery } from '../../archiver/delivery';
import { createMetrics } from '../../archiver/metrics';
import type { Changes } from '../../engine/archive/projection';
import { nameOf, RefusedError, type RowCounts, type Stretch } from '../../engine/archive/store';
import { encodeOrder } from '../../engine/orders/order-record';
import { createFailpoints } from '../../platform/failpoints';
import { anAcceptance } from '../support/archived-records';

const PLACE = { topic: 'orders', partition: 0 };

/** PostgreSQL in memory: one position, and the ids of what was written. */
function aStore() {
  const positions = new Map<string, bigint>();
  const written: string[] = [];
  const calls = { writes: 0 };
  /** With what a write fails. */
  const faults: ((changes: Changes) => Error | undefined)[] = [];
  return {
    positions,
    written,
    calls,
    faults,
    store: {
      positions: () => Promise.resolve(new Map(positions)),
      write: (stretch: Stretch, changes: Changes): Promise<RowCounts | undefined> => {
        calls.writes++;
        const name = nameOf(stretch);
        for (const fault of faults) {
          const error = fault(changes);
          if (error) return Promise.reject(error);
        }
        if (positions.get(name) !== stretch.from) return Promise.resolve(undefined);
        positions.set(name, stretch.to);
        written.push(...changes.orders.map(({ order_id }) => order_id));
        written.push(...changes.set_aside.map(({ record_offset }) => `aside ${record_offset}`));
        return Promise.resolve({ orders: changes.orders.length });
      },
    },
  };
}

/** An archiver, and a partition that it reads as kafkajs does. */
function aPartition(db = aStore(), { start = 0 } = {}) {
  register.clear();
  const lines: { level: string; msg: string }[] = [];
  const logger = pino(
    { formatters: { level: (level) => ({ level }) } },
    {
      write: (line) => {
        const { level, msg } = JSON.parse(line) as { level: string; msg: string };
        lines.push({ level, msg });
      },
    },
  );
  const metrics = createMetrics(() => 100_000);
  metrics.assigned({ orders: [0] });
  const reader = { next: 0n, isSought: false, heartbeats: 0, isRunning: true, committed: '' };
  const log: KafkaMessage[] = [];
  const archiver = createBatchArchiver({
    store: db.store,
    logs: new Map([['orders', 'orders']]),
    logStart: () => Promise.resolve(BigInt(start)),
    seek: (_topic, _partition, offset) => {
      reader.next = offset;
      reader.isSought = true;
    },
    failpoints: createFailpoints('archiver', []),
    metrics,
    logger,
  });
  archiver.joined([PLACE]);
  return {
    ...db,
    archiver,
    reader,
    lines,
    log,
    append: (value: Buffer = encodeOrder(anAcceptance({ orderId: `o${String(log.length)}` }))) => {
      const offset = String(log.length);
      log.push({ key: null, value, offset, timestamp: '90000', attributes: 0, headers: {} });
    },
    /** One fetch from where the reader is: at most `max` records. */
    fetch: async (max = 1_000): Promise<void> => {
      reader.isSought = false;
      const from = Number(reader.next < BigInt(start) ? BigInt(start) : reader.next);
      const messages = log.slice(from, from + max);
      const delivery: Delivery = {
        batch: {
          ...PLACE,
          messages,
          highWatermark: String(log.length),
          lastOffset: () => messages.at(-1)?.offset ?? '0',
        },
        resolveOffset: (offset) => {
          reader.next = BigInt(offset) + 1n;
        },
        heartbeat: () => {
          reader.heartbeats++;
          return Promise.resolve();
        },
        commitOffsetsIfNecessary: (offsets) => {
          reader.committed = offsets?.topics[0]?.partitions[0]?.offset ?? '';
          return Promise.resolve();
        },
        isRunning: () => reader.isRunning,
        isStale: () => reader.isSought,
      };
      await archiver.archive(delivery);
    },
    metric: async (name: string) => {
      const found = await register.getSingleMetric(name)?.get();
      const values = found?.values ?? [];
      return Object.fromEntries(
        values
          .filter(({ value, labels }) => value !== 0 || !('kind' in labels || 'outcome' in labels))
          .map(({ labels, value }) => [Object.values(labels).join(), value]),
      );
    },
  };
}

test('archives a batch, moves the position and commits it', async () => {
  const partition = aPartition();
  partition.append();
  partition.append();
  await partition.fetch();
  expect(partition.written).toEqual(['o0', 'o1']);
  expect(partition.positions).toEqual(new Map([['orders:0', 2n]]));
  expect(partition.reader).toMatchObject({ next: 2n, committed: '2' });
});

test('a large batch is several transactions', async () => {
  const partition = aPartition();
  for (let i = 0; i < 1_200; i++) partition.append();
  await partition.fetch(1_200);
  expect(partition.written).toHaveLength(1_200);
  expect(partition.calls.writes).toBe(3);
});

test('a reset of the offsets to the beginning changes nothing, and is passed over at once', async () => {
  const partition = aPartition();
  for (let i = 0; i < 10; i++) partition.append();
  await partition.fetch();
  partition.reader.next = 0n;
  await partition.fetch(3);
  expect(partition.written).toHaveLength(10);
  // Behind the ten records, not behind the three of this batch.
  expect(partition.reader.next).toBe(10n);
  expect(await partition.metric('flash_sale_archive_records_total')).toEqual({
    'orders,archived': 10,
    'orders,repeated': 3,
  });
});

describe('a position behind the batch', () => {
  test('is where reading goes back to', async () => {
    const partition = aPartition();
    for (let i = 0; i < 6; i++) partition.append();
    partition.reader.next = 4n;
    await partition.fetch();
    expect(partition.written).toEqual([]);
    expect(partition.reader.next).toBe(0n);
    await partition.fetch();
    expect(partition.written).toHaveLength(6);
    expect(partition.lines).toEqual([]);
  });

  test('whose records the log has lost is told of, and archiving goes on', async () => {
    const db = aStore();
    db.positions.set('orders:0', 1n);
    const partition = aPartition(db, { start: 3 });
    for (let i = 0; i < 6; i++) partition.append();
    partition.reader.next = 5n;
    // It begins too late all the same, and the records from 3 on are there.
    await partition.fetch();
    expect(partition.reader.next).toBe(3n);
    await partition.fetch();
    // A rebuild from the archive sees the hole.
    expect(partition.written).toEqual(['o3', 'o4', 'o5', 'aside 1']);
    expect(partition.lines).toEqual([
      { level: 'error', msg: 'records are gone from the log that were not archived' },
    ]);
    expect(await partition.metric('flash_sale_archive_lost_records_total')).toEqual({ orders: 2 });
  });

  test('of an archive that is new begins with what the log has', async () => {
    const partition = aPartition(aStore(), { start: 3 });
    for (let i = 0; i < 6; i++) partition.append();
    await partition.fetch();
    expect(partition.written).toEqual(['o3', 'o4', 'o5']);
    expect(await partition.metric('flash_sale_archive_lost_records_total')).toEqual({ orders: 0 });
  });

  test('is found when nothing comes any more, after a backup was restored', async () => {
    const partition = aPartition();
    for (let i = 0; i < 4; i++) partition.append();
    await partition.fetch();
    partition.positions.set('orders:0', 1n);
    await partition.archiver.returnToPositions();
    expect(partition.reader.next).toBe(1n);
    await partition.fetch();
    expect(partition.written).toEqual(['o0', 'o1', 'o2', 'o3', 'o1', 'o2', 'o3']);
  });
});

test('a position that was moved while the positions were read is not older than it was', async () => {
  const partition = aPartition();
  for (let i = 0; i < 4; i++) partition.append();
  await partition.fetch(2);
  const before = new Map(partition.positions);
  const asked = new EventEmitter();
  partition.store.positions = async () => {
    await once(asked, 'answer');
    return before;
  };
  const looking = partition.archiver.returnToPositions();
  await partition.fetch();
  asked.emit('answer');
  await looking;
  expect(partition.reader.next).toBe(4n);
});

test('after a join, reading begins at the positions', async () => {
  const db = aStore();
  db.positions.set('orders:0', 3n);
  const partition = aPartition(db);
  await partition.archiver.returnToPositions();
  expect(partition.reader.next).toBe(3n);
});

test('a log that was made again is archived anew', async () => {
  const db = aStore();
  db.positions.set('orders:0', 100n);
  const partition = aPartition(db);
  partition.append();
  await partition.fetch();
  expect(partition.written).toEqual(['o0']);
  expect(partition.positions.get('orders:0')).toBe(1n);
  expect(await partition.metric('flash_sale_archive_faults_total')).toEqual({ 'log-gone-back': 1 });
});

test('goes on from where another archiver has moved the position', async () => {
  const partition = aPartition();
  for (let i = 0; i < 4; i++) partition.append();
  await partition.fetch(1);
  partition.positions.set('orders:0', 3n);
  await partition.fetch();
  expect(partition.written).toEqual(['o0', 'o3']);
  expect(await partition.metric('flash_sale_archive_faults_total')).toEqual({ superseded: 1 });
});

test('an answer that was lost is no second write', async () => {
  const partition = aPartition();
  partition.append();
  const { write } = partition.store;
  let isLost = false;
  partition.store.write = async (stretch, changes) => {
    const counts = await write(stretch, changes);
    if (!isLost) {
      isLost = true;
      throw new Error('the answer is lost');
    }
    return counts;
  };
  await partition.fetch();
  expect(partition.written).toEqual(['o0']);
});

describe('a record that PostgreSQL refuses', () => {
  const refuse = (ids: readonly string[]) => (changes: Changes) => {
    const isRefused = changes.orders.some(({ order_id }) => ids.includes(order_id));
    return isRefused ? new RefusedError('no') : undefined;
  };

  test('is set aside, and the others are archived', async () => {
    const partition = aPartition();
    for (let i = 0; i < 40; i++) partition.append();
    partition.faults.push(refuse(['o7', 'o31']));
    await partition.fetch();
    const others = Array.from({ length: 40 }, (_, i) => `o${i}`).filter(
      (id) => id !== 'o7' && id !== 'o31',
    );
    expect([...partition.written].sort()).toEqual([...others, 'aside 7', 'aside 31'].sort());
    expect(await partition.metric('flash_sale_archive_records_total')).toEqual({
      'orders,archived': 38,
      'orders,set-aside': 2,
    });
    // It is no outage.
    expect(await partition.metric('flash_sale_archive_faults_total')).toEqual({});
  });

  test('is told of as one that is no order', async () => {
    const partition = aPartition();
    partition.append(Buffer.from('no order'));
    partition.append();
    await partition.fetch();
    expect(partition.written).toEqual(['o1', 'aside 0']);
    expect(partition.lines).toEqual([
      { level: 'error', msg: 'a record cannot be archived: set aside' },
    ]);
  });
});

describe('while PostgreSQL is away', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

  function away(partition: ReturnType<typeof aPartition>) {
    const state = { isAway: true };
    partition.faults.push(() => (state.isAway ? new Error('connection refused') : undefined));
    return state;
  }

  test('the batch waits, is tried again, and the membership in the group is kept', async () => {
    const partition = aPartition();
    partition.append();
    const state = away(partition);
    const fetching = partition.fetch();
    await pass(60_000);
    expect(partition.written).toEqual([]);
    expect(partition.archiver.isBlocked).toBe(true);
    expect(partition.reader.heartbeats).toBeGreaterThan(30);
    expect(partition.calls.writes).toBeGreaterThan(10);
    expect(await partition.metric('flash_sale_archive_lag_seconds')).toEqual({ orders: 10 });
    state.isAway = false;
    await pass(6_000);
    await fetching;
    expect(partition.written).toEqual(['o0']);
    expect(partition.archiver.isBlocked).toBe(false);
    expect(await partition.metric('flash_sale_archive_lag_seconds')).toEqual({ orders: 0 });
    expect(partition.lines.map(({ msg }) => msg)).toEqual([
      'cannot archive: retrying',
      'archiving goes on',
    ]);
  });

  test('a process that is to stop lets go of the batch within a heartbeat', async () => {
    const partition = aPartition();
    partition.append();
    away(partition);
    const fetching = partition.fetch();
    await pass(10_000);
    partition.reader.isRunning = false;
    await pass(2_000);
    await fetching;
    expect(partition.reader.next).toBe(0n);
  });

  test('a process whose partitions another one has got is not held for blocked', async () => {
    const partition = aPartition();
    partition.append();
    away(partition);
    const fetching = partition.fetch();
    await pass(10_000);
    partition.reader.isSought = true;
    await pass(2_000);
    await fetching;
    expect(partition.archiver.isBlocked).toBe(true);
    partition.archiver.joined([]);
    expect(partition.archiver.isBlocked).toBe(false);
  });

  test('a write that never ends does not cost the membership either', async () => {
    const partition = aPartition();
    partition.append();
    partition.store.write = () => new Promise(() => undefined);
    const fetching = partition.fetch();
    await pass(20_000);
    expect(partition.reader.heartbeats).toBeGreaterThan(15);
    partition.reader.isRunning = false;
    await pass(2_000);
    await fetching;
  });
});
