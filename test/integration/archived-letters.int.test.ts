import { randomUUID } from 'node:crypto';
import { openArchive } from '../../engine/archive/database';
import { createArchivedLetters } from '../../engine/archive/dead-letters';
import { project } from '../../engine/archive/projection';
import { createArchiveStore } from '../../engine/archive/store';
import { createLetters, readLetters } from '../../engine/dead-letters/read-letters';
import { replay } from '../../engine/dead-letters/replay';
import type { LogRecord } from '../../engine/kafka/consumer';
import {
  createDeadLetterWriter,
  createMarkWriter,
  readDeadLetters,
  type StoredDeadLetter,
} from '../../engine/kafka/dead-letters';
import { readLog } from '../../engine/kafka/read-log';
import type { SafeProducer } from '../../engine/kafka/safe-producer';
import { encodeOrder } from '../../engine/orders/order-record';
import type { MarkKind } from '../../engine/orders/dead-letter';
import { loadDatabaseAccess } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { closeDatabasePool, createDatabasePool } from '../../platform/postgres';
import { aFailedOrder, aLetter, anUnreadable, at, order } from '../cli/letters';
import { useRealLog } from '../engine/kafka/real-log';
import { kafkaAddrs } from '../support/addresses';
import { createTestArchive, type TestArchive } from '../support/archive';

const log = useRealLog();
let archive: TestArchive;
let topic: string;
let producer: SafeProducer;
beforeAll(async () => {
  archive = await createTestArchive();
  ({ deadLetterTopic: topic } = await log.topics());
  producer = await log.producer(topic, 1);
}, 60_000);
afterAll(async () => {
  await log.closeAll();
  await archive.drop();
});

let from: bigint;
beforeEach(async () => {
  await archive.empty();
  // The records of other tests count as archived, and are in no table.
  const ends = (await recordsFrom(0n)).at(-1)?.offset;
  from = ends === undefined ? 0n : BigInt(ends) + 1n;
  await createArchiveStore(archive.database).write(
    { topic, partition: 0, from: undefined, to: from },
    project('dead-letters', []),
  );
});

const failed = (name: string, second = 0, fields: Partial<StoredDeadLetter> = {}) =>
  aFailedOrder(name, { at: at(second), ...fields });
const write = async (...letters: readonly StoredDeadLetter[]) => {
  for (const letter of letters) await createDeadLetterWriter(producer).write(letter);
};
const mark = (letter: StoredDeadLetter, kind: MarkKind, second: number) =>
  createMarkWriter(producer).mark(letter, { kind, by: 'ann', why: 'a test', at: at(second) });

async function recordsFrom(offset: bigint): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  const start = { fromOffset: String(offset), msMax: 30_000 };
  await readLog(log.kafka(), topic, start, (record) => records.push(record));
  return records;
}

/** What the archiver does with the records so far. */
async function archiveAll(): Promise<void> {
  const records = await recordsFrom(from);
  const to = from + BigInt(records.length);
  const changes = project('dead-letters', records);
  await createArchiveStore(archive.database).write({ topic, partition: 0, from, to }, changes);
  from = to;
}

const read = (recordsMax: number, database = archive.database) =>
  readLetters({ kafka: kafkaAddrs(), topic, archive: database, recordsMax });
const names = (letters: readonly StoredDeadLetter[]) => letters.map(({ requestId }) => requestId);

test('an archived letter is what the log has of it, with its bytes and its marks in their order', async () => {
  const letters = [
    failed('whole', 1, { orderId: 'order-1', value: Buffer.from([0, 255, 123]) }),
    anUnreadable(undefined, { id: 'no-request', at: 0 }),
  ];
  await write(...letters);
  const [whole = aLetter()] = letters;
  // By another clock, the second mark is the older one.
  await mark(whole, 'replayed', 30);
  await mark(whole, 'discarded', 20);
  await archiveAll();
  const logged = await readDeadLetters(log.kafka(), topic, {
    fromOffset: String(from - 4n),
  });
  const archived = await createArchivedLetters(archive.database).of(['whole', 'no-request']);
  const byId = (one: StoredDeadLetter, other: StoredDeadLetter) => (one.id < other.id ? -1 : 1);
  expect([...archived].sort(byId)).toEqual([...logged].sort(byId));
  expect(archived.find(({ marks }) => marks)?.marks?.map(({ kind }) => kind)).toEqual([
    'replayed',
    'discarded',
  ]);
});

test('letters beyond the newest records of the log are listed, counted, shown and replayed', async () => {
  await write(failed('a', 1), failed('b', 2, { reason: 'sold-out' }), failed('c', 3));
  await archiveAll();
  await write(failed('d', 4));
  const letters = await read(1);
  expect(letters.warnings).toEqual([]);
  expect(names(await letters.newest({}, 10))).toEqual(['a', 'b', 'c', 'd']);
  expect(names(await letters.newest({}, 2))).toEqual(['c', 'd']);
  const [third] = await letters.newest({}, 2);
  expect(names(await letters.newest({}, 5, third))).toEqual(['a', 'b']);
  expect(await letters.totals({})).toEqual({ letters: 4, orders: 4 });
  expect(names(await letters.newest({ reason: 'sold-out' }, 10))).toEqual(['b']);
  expect(names(await letters.newest({ since: at(2), until: at(3) }, 10))).toEqual(['b', 'c']);
  expect(names(await letters.newest({ item: 'other' }, 10))).toEqual([]);
  expect((await letters.of(['a']))[0]?.value).toEqual(failed('a').value);
  expect(await letters.count({})).toEqual({
    total: 4,
    by_failure: [
      {
        reason: 'payment-declined',
        error: 'card_declined',
        count: 3,
        first: new Date(at(1)).toISOString(),
        last: new Date(at(4)).toISOString(),
      },
      expect.objectContaining({ reason: 'sold-out', count: 1 }),
    ],
    by_item: [expect.objectContaining({ item_id: '101', count: 4 })],
  });
  expect((await replayAll(letters)).started).toEqual(['a', 'b', 'c', 'd']);
  await expect(letters.of(['a', 'nobody'])).rejects.toMatchObject({ kind: 'unknown-letter' });
});

test('marks count, whether they are archived or not, and so do letters that come again', async () => {
  const [gone, again, open] = [failed('gone', 1), failed('again', 2), failed('open', 3)];
  await write(gone, again, open);
  await mark(gone, 'discarded', 10);
  await archiveAll();
  await mark(again, 'replayed', 11);
  await write(gone);
  const letters = await read(5);
  expect(names(await letters.newest({}, 10))).toEqual(['open']);
  expect(await letters.totals({})).toEqual({ letters: 1, orders: 1 });
  const all = await letters.newest({ all: true }, 10);
  expect(
    all.map(({ requestId, marks = [] }) => [requestId, ...marks.map(({ kind }) => kind)]),
  ).toEqual([['gone', 'discarded'], ['again', 'replayed'], ['open']]);
  await archiveAll();
  expect(names(await (await read(5)).newest({}, 10))).toEqual(['open']);
  const rows = await archive.rows('dead_letters');
  expect(rows.filter((row) => row['is_open'] === true)).toHaveLength(1);
});

test('a mark of a version that did not close its letter counts', async () => {
  await write(failed('old'));
  await mark(failed('old'), 'discarded', 1);
  await archiveAll();
  await archive.pool.query('update dead_letters set is_open = true');
  const letters = await read(5);
  expect(await letters.newest({}, 10)).toEqual([]);
  expect(await letters.totals({})).toEqual({ letters: 0, orders: 0 });
});

describe('while the archive is away', () => {
  const away = openAwayArchive();
  afterAll(() => closeDatabasePool(away.pool));

  test('the newest records of the log are read, with a warning, and replayed', async () => {
    await write(failed('a', 1), failed('b', 2), failed('c', 3));
    const letters = await read(2, away.database);
    expect(names(await letters.newest({}, 10))).toEqual(['b', 'c']);
    const warning = expect.stringMatching(
      `The archive gives no answer .*only the newest 2 records of ${topic}`,
    ) as string;
    expect(letters.warnings).toEqual([warning]);
    const { started, report } = await replayAll(letters);
    expect(started).toEqual(['b', 'c']);
    expect(report.warnings).toEqual([warning]);
    await expect(letters.of(['a'])).rejects.toThrow('only the newest 2 records');
  });
});

test('without an archive, older records are told of only where there are any', async () => {
  await write(failed('a', 1), failed('b', 2));
  const without = (recordsMax: number) => readLetters({ kafka: kafkaAddrs(), topic, recordsMax });
  const few = await without(1);
  expect(names(await few.newest({}, 10))).toEqual(['b']);
  expect(few.warnings).toEqual([expect.stringContaining('Old dead letters are missing')]);
  expect((await without(1_000)).warnings).toEqual([]);
});

test('an archive that is far behind, and one that has set letters aside, are told of', async () => {
  await write(failed('a', 1), failed('b', 2), failed('c', 3));
  await archive.pool.query(
    `insert into set_aside (topic, partition, record_offset, problem) values ($1, 0, 0, 'a test')`,
    [topic],
  );
  const { warnings } = await read(2);
  expect(warnings).toEqual([
    expect.stringContaining(`1 records of ${topic} are neither archived`),
    expect.stringContaining(`1 records of ${topic} could not be archived`),
  ]);
});

test('a log that begins anew is read from its beginning', async () => {
  await write(failed('a', 1));
  await archive.pool.query('update log_positions set next_offset = 1000000');
  expect(names(await (await read(1_000)).newest({}, 1_000))).toContain('a');
});

describe('many letters', () => {
  const MANY = 450;
  /** Each order has two: the second one 225 letters later. */
  const requestIdOf = (i: number) => `req-${i % (MANY / 2)}`;
  beforeEach(async () => {
    const rows = Array.from({ length: MANY }, (_, i) => ({
      letter_id: `many-${i}`,
      request_id: requestIdOf(i),
      order_id: null,
      item_id: '101',
      reason: 'sold-out',
      error: 'e',
      generation: 1,
      run_id: null,
      at: new Date(Date.UTC(2026, 10, 24, 0, 0, i)).toISOString(),
      source_topic: null,
      source_partition: null,
      source_offset: null,
      value: encodeOrder(order(requestIdOf(i))),
      partition: 0,
      record_offset: i,
    }));
    await archive.database.insertInto('dead_letters').values(rows).execute();
  });

  test('are read page by page, those in memory at their place', async () => {
    const memory = [aLetter({ id: 'in-memory', at: Date.UTC(2026, 10, 24, 0, 5, 0, 500) })];
    const letters = createLetters({ memory, archive: createArchivedLetters(archive.database) });
    const pages: string[][] = [];
    for await (const page of letters.pages({})) pages.push(page.map(({ id }) => id));
    expect(pages.map((page) => page.length)).toEqual([200, 201, 50]);
    const all = pages.flat();
    expect(new Set(all).size).toBe(MANY + 1);
    expect(all.indexOf('in-memory')).toBe(all.indexOf('many-300') + 1);
    expect(await letters.totals({})).toEqual({ letters: MANY + 1, orders: 226 });
  });

  test('are replayed once for each order, from its newest letter, and say how many are left', async () => {
    const letters = createLetters({
      memory: [],
      archive: createArchivedLetters(archive.database),
    });
    const some = await replayAll(letters, { max: 10 });
    expect(some.report.left).toBe(MANY / 2 - 10);
    const { started, letterIds, report } = await replayAll(letters);
    expect(started).toEqual(Array.from({ length: MANY / 2 }, (_, i) => requestIdOf(i)));
    expect(letterIds).toEqual(Array.from({ length: MANY / 2 }, (_, i) => `many-${i + MANY / 2}`));
    expect(report.left).toBe(0);
  });

  test('those written long after the reading began are left for the next one', async () => {
    const later = new Date(Date.now() + 3_600_000);
    await archive.pool.query('update dead_letters set at = $1 where record_offset > 100', [later]);
    const letters = createLetters({
      memory: [],
      archive: createArchivedLetters(archive.database),
    });
    const read: number[] = [];
    for await (const page of letters.pages({})) read.push(page.length);
    expect(read).toEqual([200]);
  });

  test('open ones are found by an index among those that were dealt with', async () => {
    await archive.pool.query(
      `insert into dead_letters (letter_id, reason, error, generation, at, value, partition, record_offset, is_open)
       select i, 'sold-out', 'e', 1, timestamptz '2026-01-01' + i * interval '1 s', '', 0, i, false
       from generate_series(1, 20000) i`,
    );
    await archive.pool.query('analyze dead_letters');
    const { rows } = await archive.pool.query<{ 'QUERY PLAN': string }>(
      `explain select * from dead_letters where is_open order by at desc, letter_id desc limit 50`,
    );
    expect(JSON.stringify(rows)).toContain('dead_letters_open');
  });
});

/** A pool before a port where nobody listens. */
function openAwayArchive() {
  const access = loadDatabaseAccess({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' });
  const logger = createLogger('test', 'silent');
  const pool = createDatabasePool(access, { name: 'test', logger });
  return { pool, database: openArchive(pool) };
}

/** Replays what is open, before a Temporal that starts everything. */
async function replayAll(
  letters: Awaited<ReturnType<typeof readLetters>>,
  { max = Infinity }: { readonly max?: number } = {},
) {
  const started: string[] = [];
  const letterIds: string[] = [];
  const report = await replay(
    {
      ids: [],
      filter: {},
      operator: { by: 'ann', why: 'a test' },
      rate: 1_000,
      max,
      dryRun: false,
    },
    {
      readLetters: () => Promise.resolve(letters),
      withReplayer: (use) =>
        use({
          look: () => Promise.resolve({ kind: 'failed', runId: randomUUID(), closedAt: 0 }),
          start: ({ order: { requestId } }, { letterId }) => {
            started.push(requestId);
            letterIds.push(letterId ?? '');
            return Promise.resolve('run-2');
          },
        }),
      withMarks: (use) => use({ mark: () => Promise.resolve() }),
      withOrders: () => Promise.reject(new Error('not used')),
      claim: () => Promise.resolve(true),
      now: Date.now,
      sleep: () => Promise.resolve(),
    },
  );
  return { started, letterIds, report };
}
