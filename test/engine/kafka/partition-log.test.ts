import { pino } from 'pino';
import {
  createAssignment,
  createPartitionLog,
  type Batch,
  type LogRecord,
} from '../../../engine/kafka/partition-log';

const logger = pino({ level: 'silent' });

/** A fetch of partition 3 with the offsets from `from` to before `to`. */
function fetchOf(from: number, to: number, valueBytes = 10, end = 1000): Batch {
  const messages = Array.from({ length: to - from }, (_, i) => ({
    offset: String(from + i),
    key: null,
    value: Buffer.alloc(valueBytes),
  }));
  return { topic: 'orders', partition: 3, messages, highWatermark: String(end) };
}

function aPartition({ bytesMax = 1_000_000, uncommittedMax = 1_000 } = {}) {
  const pauses: boolean[] = [];
  const partition = createPartitionLog({
    number: 3,
    bytesMax: () => bytesMax,
    uncommittedMax,
    setPaused: (paused) => pauses.push(paused),
    logger,
  });
  const read = (batch: Batch): readonly LogRecord[] => {
    const accepted = partition.accept(batch);
    return accepted.kind === 'read' ? accepted.records : [];
  };
  return { partition, pauses, read };
}

const offsets = (records: readonly LogRecord[]) => records.map(({ offset }) => Number(offset));

describe('the position of a partition', () => {
  test('is the lowest offset that is not finished, whatever is finished above it', () => {
    const { partition, read } = aPartition();
    const records = read(fetchOf(100, 104));
    expect(partition.uncommitted()).toBeUndefined();
    for (const record of records.slice(1)) partition.finish(record);
    expect(partition.position()).toBe(100n);
    for (const record of records.slice(0, 1)) partition.finish(record);
    expect(partition.uncommitted()).toBe(104n);
    partition.committedTo(104n);
    expect(partition.uncommitted()).toBeUndefined();
  });

  test('is as far behind the end of the log as the lag says', () => {
    const { partition, read } = aPartition();
    const [first] = read(fetchOf(100, 102));
    expect(partition.lag()).toBe(900);
    if (first) partition.finish(first);
    expect(partition.lag()).toBe(899);
  });
});

describe('a fetch', () => {
  test('after a rejoin gives only the records that were not known', () => {
    const { read } = aPartition();
    expect(offsets(read(fetchOf(100, 103)))).toEqual([100, 101, 102]);
    expect(offsets(read(fetchOf(100, 105)))).toEqual([103, 104]);
  });

  test('that begins behind the records that were read is not taken: the others would be skipped', () => {
    const { partition, read } = aPartition();
    read(fetchOf(100, 103));
    expect(partition.accept(fetchOf(110, 112))).toEqual({ kind: 'gap', from: '103' });
    expect(offsets(read(fetchOf(103, 112)))).toHaveLength(9);
  });

  test('that begins there again is taken: the log has the records no longer', () => {
    const { partition, read } = aPartition();
    read(fetchOf(100, 103));
    partition.accept(fetchOf(110, 112));
    expect(offsets(read(fetchOf(110, 112)))).toEqual([110, 111]);
  });
});

describe('reading ahead', () => {
  test('pauses at the bound of bytes and goes on at half of it', () => {
    const { partition, pauses, read } = aPartition({ bytesMax: 10_000 });
    const records = read(fetchOf(0, 10, 400));
    expect(pauses).toEqual([true]);
    for (const record of records.slice(0, 4)) partition.finish(record);
    expect(pauses).toEqual([true]);
    for (const record of records.slice(4)) partition.finish(record);
    expect(pauses).toEqual([true, false]);
  });

  test('pauses at the bound of records that a kill would repeat, and goes on after a commit', () => {
    const { partition, pauses, read } = aPartition({ uncommittedMax: 10 });
    const records = read(fetchOf(0, 10));
    for (const record of records.slice(1)) partition.finish(record);
    expect(pauses).toEqual([true]);
    for (const record of records.slice(0, 1)) partition.finish(record);
    expect(pauses).toEqual([true]);
    partition.committedTo(10n);
    expect(pauses).toEqual([true, false]);
  });

  test('takes back a pause when the partition moves away: it would outlive the assignment', () => {
    const { partition, pauses, read } = aPartition({ uncommittedMax: 10 });
    const records = read(fetchOf(0, 10));
    partition.leave();
    expect(pauses).toEqual([true, false]);
    for (const record of records) partition.finish(record);
    expect(partition.assigned).toBe(false);
    expect(pauses).toEqual([true, false]);
  });
});

describe('a rejoin', () => {
  const assignmentOf = (...numbers: number[]) => {
    const consumer = { pause: () => undefined, resume: () => undefined };
    const assignment = createAssignment(consumer, 'orders', logger);
    assignment.assign(numbers, 'member 1');
    return assignment;
  };

  test('of the same member keeps what is known of the partitions that stay, and forgets the others', () => {
    const assignment = assignmentOf(1, 2);
    const [stays, moves] = [assignment.partitions.get(1), assignment.partitions.get(2)];
    assignment.assign([1, 3], 'member 1');
    expect([...assignment.partitions.keys()]).toEqual([1, 3]);
    expect(assignment.partitions.get(1)).toBe(stays);
    expect(moves?.assigned).toBe(false);
  });

  test('as another member begins anew: others may have read the partitions meanwhile', () => {
    const assignment = assignmentOf(1);
    const before = assignment.partitions.get(1);
    assignment.assign([1], 'member 2');
    expect(assignment.partitions.get(1)).not.toBe(before);
    expect(before?.assigned).toBe(false);
  });

  test('as another member gives a fetch from before the join no say over what is finished', () => {
    const assignment = assignmentOf(3);
    assignment.logOf(fetchOf(0, 100))?.accept(fetchOf(0, 100));
    assignment.assign([], 'member 2');
    assignment.assign([3], 'member 2');
    const partition = assignment.logOf(fetchOf(100, 110));
    expect(partition?.accept(fetchOf(100, 110))).toEqual({ kind: 'gap', from: '0' });
    expect(partition?.accept(fetchOf(0, 10))).toMatchObject({ kind: 'read' });
    expect(partition?.uncommitted()).toBeUndefined();
  });

  test('as another member begins where others have committed behind all that was read', () => {
    const assignment = assignmentOf(3);
    assignment.logOf(fetchOf(0, 100))?.accept(fetchOf(0, 100));
    assignment.assign([3], 'member 2');
    expect(assignment.logOf(fetchOf(500, 510))?.accept(fetchOf(500, 510)).kind).toBe('read');
  });
});

describe('a log that has gone back', () => {
  /** The records 0 to 499, of which the first 200 are committed. */
  const readLog = () => {
    const consumer = { pause: () => undefined, resume: () => undefined };
    const assignment = createAssignment(consumer, 'orders', logger);
    assignment.assign([3], 'member 1');
    const before = assignment.logOf(fetchOf(0, 500));
    const accepted = before?.accept(fetchOf(0, 500));
    const records = accepted?.kind === 'read' ? accepted.records : [];
    for (const record of records.slice(0, 200)) before?.finish(record);
    before?.committedTo(100n);
    before?.committedTo(200n);
    return { assignment, before };
  };

  test.each([
    ['ends before what was read', fetchOf(0, 20, 10, 20)],
    ['has grown over what was read again', fetchOf(0, 20, 10, 600)],
  ])('and %s is read anew: other records have the offsets', (_, fetched) => {
    const { assignment, before } = readLog();
    const partition = assignment.logOf(fetched);
    expect(before?.assigned).toBe(false);
    const accepted = partition?.accept(fetched);
    expect(accepted?.kind === 'read' && offsets(accepted.records)).toHaveLength(20);
    if (accepted?.kind === 'read') for (const record of accepted.records) partition?.finish(record);
    expect(partition?.uncommitted()).toBe(20n);
    expect(assignment.partitions.get(3)).toBe(partition);
  });

  test('is not one whose committed offset was read before the last commit', () => {
    const { assignment, before } = readLog();
    expect(assignment.logOf(fetchOf(100, 110))).toBe(before);
  });
});
