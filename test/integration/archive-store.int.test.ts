import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { sql } from 'kysely';
import { Pool } from 'pg';
import { openArchive, type ArchiveDatabase } from '../../engine/archive/database';
import { checkArchive } from '../../engine/archive/migrate';
import { project } from '../../engine/archive/projection';
import { createArchiveStore, RefusedError } from '../../engine/archive/store';
import { allRows, createTestArchive, type TestArchive } from '../support/archive';
import {
  aLetter,
  aMark,
  anAcceptance,
  anEvent,
  batches,
  createRecords,
  deliveries,
  manyRecords,
  type Archived,
} from '../support/archived-records';
import { eventually } from '../support/eventually';
import { propertyRuns } from '../support/property-runs';

let archive: TestArchive;
beforeAll(async () => {
  archive = await createTestArchive();
});
beforeEach(() => archive.empty());
afterAll(() => archive.drop());

const store = () => createArchiveStore(archive.database);

/** Writes batches, each behind what was written before. */
async function write(delivered: readonly (readonly Archived[])[]): Promise<void> {
  for (const batch of delivered) {
    const from = (await store().positions()).get('a:0');
    const to = (from ?? 0n) + 1n;
    const log = batch[0]?.log ?? 'orders';
    const changes = project(
      log,
      batch.map(({ record }) => record),
    );
    await store().write({ topic: 'a', partition: 0, from, to }, changes);
  }
}

const ORDER = anAcceptance({ requestId: 'req-1', orderId: 'order-1', userId: 'u1' });

test('any order, repetition and split of the records give the same rows', async () => {
  const { seed, numRuns } = propertyRuns(25);
  const records = await manyRecords(seed);
  await write(batches(records));
  const expected = await allRows(archive);
  expect(expected.orders.length).toBeGreaterThan(1);
  expect(expected.set_aside).toHaveLength(3);
  await fc.assert(
    fc.asyncProperty(deliveries(records), async (delivered) => {
      await archive.empty();
      await write(delivered);
      expect(await allRows(archive)).toEqual(expected);
    }),
    { seed, numRuns },
  );
});

describe('the position', () => {
  const changes = (orderId: string) =>
    project('orders', [createRecords().order({ ...ORDER, ...anAcceptance({ orderId }) }).record]);
  const place = { topic: 'orders', partition: 4 };

  test('is unknown before the first write, and then what was written up to', async () => {
    expect((await store().positions()).get('orders:4')).toBeUndefined();
    await store().write({ ...place, from: undefined, to: 7n }, changes('one'));
    expect((await store().positions()).get('orders:4')).toBe(7n);
    expect((await store().positions()).get('orders:3')).toBeUndefined();
  });

  test.each([
    ['at the beginning', undefined, undefined],
    ['in the middle', 7n, 7n],
    ['behind a position that was moved', 7n, 6n],
  ])('lets one of two archivers write %s', async (_where, from, second) => {
    if (from !== undefined)
      await store().write({ ...place, from: undefined, to: from }, changes('zero'));
    const written = await Promise.all([
      store().write({ ...place, from, to: 9n }, changes('one')),
      store().write({ ...place, from: second, to: 10n }, changes('two')),
    ]);
    expect(written.filter((counts) => counts !== undefined)).toHaveLength(1);
    const ids = (await archive.rows('orders')).map(({ order_id }) => order_id);
    const position = (await store().positions()).get('orders:4');
    expect(ids).toContain(position === 9n ? 'one' : 'two');
    expect(ids).toHaveLength(from === undefined ? 1 : 2);
  });

  test('stays when the rows are not written', async () => {
    await archive.pool.query('alter table orders rename to renamed');
    try {
      const writing = store().write({ ...place, from: undefined, to: 7n }, changes('one'));
      // A table that is missing is no fault of a record.
      await expect(writing).rejects.not.toBeInstanceOf(RefusedError);
      await expect(writing).rejects.toMatchObject({ code: '42P01' });
      expect((await store().positions()).get('orders:4')).toBeUndefined();
    } finally {
      await archive.pool.query('alter table renamed rename to orders');
    }
  });
});

test('counts the rows that a write has changed, by table', async () => {
  const records = createRecords();
  const event = records.event(anEvent(ORDER));
  const changes = project('order-events', [event.record]);
  const place = { topic: 'a', partition: 0 };
  expect(await store().write({ ...place, from: undefined, to: 1n }, changes)).toEqual({
    orders: 1,
    order_events: 1,
  });
  expect(await store().write({ ...place, from: 1n, to: 2n }, changes)).toEqual({
    orders: 0,
    order_events: 0,
  });
});

describe('PostgreSQL refuses', () => {
  test.each([
    ['a NUL in an id', { id: 'no \0' }],
    ['a text that is too long for an index', { id: noise(9_000) }],
  ])('%s, as the fault of the record', async (_what, fields) => {
    const { record } = await createRecords().letter(aLetter(ORDER, fields));
    const changes = project('dead-letters', [record]);
    const writing = store().write({ topic: 'a', partition: 0, from: undefined, to: 1n }, changes);
    await expect(writing).rejects.toBeInstanceOf(RefusedError);
    expect(await allRows(archive)).toMatchObject({ dead_letters: [], set_aside: [] });
  });

  test('no NUL of an error, which is archived as a sign for it', async () => {
    const letter = await createRecords().letter(aLetter(ORDER, { error: 'no \0 in texts' }));
    await write([[letter]]);
    expect(await archive.rows('dead_letters')).toMatchObject([{ error: 'no ␀ in texts' }]);
  });

  test('half a character in the JSON of an action', async () => {
    const action = { id: 'a', phase: 'intent', action: 'stock.open', by: 'ann', at: '2026-11-29' };
    const { record } = createRecords().action({ ...action, request: { half: '\ud800' } });
    const changes = project('operator-actions', [record]);
    const writing = store().write({ topic: 'a', partition: 0, from: undefined, to: 1n }, changes);
    await expect(writing).rejects.toBeInstanceOf(RefusedError);
  });
});

/** A text that cannot be compressed, which PostgreSQL would do before it measures. */
function noise(length: number): string {
  const [characters = []] = fc.sample(
    fc.array(fc.integer({ min: 33, max: 126 }), { minLength: length, maxLength: length }),
    1,
  );
  return String.fromCharCode(...characters);
}

describe('a connection', () => {
  /** With connections that wait for an answer only so long. */
  async function withArchive(
    query_timeout: number,
    use: (database: ArchiveDatabase, pool: Pool) => Promise<void>,
  ): Promise<void> {
    const pool = new Pool({ connectionString: archive.url, max: 1, query_timeout });
    try {
      await use(openArchive(pool), pool);
    } finally {
      await pool.end();
    }
  }
  const stretch = { topic: 'a', partition: 0, from: undefined, to: 1n };
  const changes = project('orders', [createRecords().order(ORDER).record]);

  /** What is sent to the server, from now on. */
  function statementsOf(pool: Pool): string[] {
    const sent: string[] = [];
    pool.on('connect', (client) => {
      const query = client.query.bind(client) as (...args: unknown[]) => unknown;
      client.query = ((...args: unknown[]) => {
        sent.push(String(args[0]).slice(0, 20));
        return query(...args);
      }) as typeof client.query;
    });
    return sent;
  }

  /** While nobody else gets at a table. */
  async function whileLocked(table: string, use: () => Promise<void>): Promise<void> {
    const lock = await archive.pool.connect();
    try {
      await lock.query(`begin; lock table ${table} in access exclusive mode`);
      await use();
    } finally {
      await lock.query('rollback');
      lock.release();
    }
  }

  test('on which a statement had no answer is not used again, nor for the rest of its transaction', async () => {
    await withArchive(300, async (database, pool) => {
      const sent = statementsOf(pool);
      await whileLocked('orders', async () => {
        const writing = createArchiveStore(database).write(stretch, changes);
        await expect(writing).rejects.toThrow('timeout');
        expect(pool.totalCount).toBe(0);
        // A rollback would wait as long again.
        expect(sent.at(-1)).toBe('insert into "orders"');
      });
      // The server goes on with the statement, and finds nobody who commits it.
      expect(await createArchiveStore(database).write(stretch, changes)).toEqual({ orders: 1 });
      expect(await archive.rows('orders')).toHaveLength(1);
    });
  });

  test('on which a question had no answer is not used again', async () => {
    await withArchive(300, async (database, pool) => {
      await whileLocked('log_positions', async () => {
        await expect(createArchiveStore(database).positions()).rejects.toThrow('timeout');
        expect(pool.totalCount).toBe(0);
      });
    });
  });

  test('that the server ends between two statements fails their transaction and nothing else', async () => {
    await withArchive(5_000, async (database, pool) => {
      const writing = database.transaction().execute(async (transaction) => {
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(
          transaction,
        );
        await archive.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
        await eventually('the end is noticed', () => ended(transaction));
        await sql`select 1`.execute(transaction);
      });
      await expect(writing).rejects.toThrow();
      expect(pool.totalCount).toBe(0);
      expect(await createArchiveStore(database).write(stretch, changes)).toEqual({ orders: 1 });
    });
  });

  const ended = (transaction: ArchiveDatabase) =>
    sql`select 1`.execute(transaction).then(
      () => false,
      () => true,
    );
});

/** The states of orders by order id. */
async function states(): Promise<Record<string, unknown>> {
  const rows = await archive.rows('order_states');
  return Object.fromEntries(rows.map(({ order_id, status }) => [String(order_id), status]));
}

describe('an acceptance without an event', () => {
  const again = anAcceptance({
    requestId: 'req-1',
    orderId: 'order-2',
    acceptedAt: ORDER.acceptedAt + 20_000,
  });
  const other = anAcceptance({
    requestId: 'req-1',
    orderId: 'order-3',
    amount: 2,
    acceptedAt: ORDER.acceptedAt + 20_000,
  });

  test('is queued', async () => {
    await write([[createRecords().order(ORDER)]]);
    expect(await states()).toEqual({ 'order-1': 'queued' });
  });

  test('repeats the order of a later acceptance of the same purchase', async () => {
    const records = createRecords();
    await write([[records.order(again), records.order(ORDER)]]);
    expect(await states()).toEqual({ 'order-1': 'repeated', 'order-2': 'queued' });
    await write([[records.event(anEvent(again))]]);
    expect(await states()).toEqual({ 'order-1': 'repeated', 'order-2': 'confirmed' });
  });

  test('repeats the order of an earlier acceptance that was not over', async () => {
    const records = createRecords();
    const late = anEvent(ORDER, { at: again.acceptedAt + 1 });
    await write([[records.order(again)], [records.event(late)]]);
    expect(await states()).toEqual({ 'order-1': 'confirmed', 'order-2': 'repeated' });
  });

  test('is a new order after one that was over', async () => {
    const records = createRecords();
    await write([[records.order(again)], [records.event(anEvent(ORDER))]]);
    expect(await states()).toEqual({ 'order-1': 'confirmed', 'order-2': 'queued' });
  });

  test('is an order of its own if it is for another purchase', async () => {
    const records = createRecords();
    await write([[records.order(ORDER), records.order(other)]]);
    expect(await states()).toEqual({ 'order-1': 'queued', 'order-3': 'queued' });
  });

  test('has failed with its dead letter', async () => {
    const records = createRecords();
    const letter = aLetter(other, { reason: 'request-id-reused', generation: 0 });
    await write([[records.order(ORDER), records.order(other)], [await records.letter(letter)]]);
    expect(await archive.rows('order_states')).toMatchObject([
      { order_id: 'order-1', status: 'queued', reason: null, finished_at: null },
      {
        order_id: 'order-3',
        status: 'failed',
        reason: 'request-id-reused',
        finished_at: new Date(letter.at),
      },
    ]);
  });

  test.each([
    ['discarded', 'failed'],
    ['replayed', 'queued'],
    ['sold', 'confirmed'],
  ] as const)('whose letter was %s is %s', async (kind, status) => {
    const records = createRecords();
    const letter = aLetter(ORDER);
    const mark = await records.mark(letter, aMark(kind, letter.at + 1_000));
    await write([[mark], [await records.letter(letter)], [records.order(ORDER)]]);
    expect(await states()).toEqual({ 'order-1': status });
  });

  test('ends with its event, whatever its letters say', async () => {
    const records = createRecords();
    await write([[await records.letter(aLetter(ORDER))], [records.event(anEvent(ORDER))]]);
    expect(await archive.rows('order_states')).toMatchObject([
      { status: 'confirmed', reason: null },
    ]);
  });
});

describe('the migrations', () => {
  test('run once beside each other, and again without a change', async () => {
    const fresh = await createTestArchive({ isMigrated: false });
    try {
      await expect(checkArchive(fresh.database)).rejects.toThrow('not migrated');
      await Promise.all([fresh.migrate(), fresh.migrate(), fresh.migrate()]);
      await checkArchive(fresh.database);
      await fresh.migrate();
      const { rows } = await fresh.pool.query('select name from archive_migrations');
      expect(rows).toHaveLength(readdirSync('engine/archive/migrations').length);
    } finally {
      await fresh.drop();
    }
  });

  test('leave a newer schema as it is', async () => {
    const newer =
      "insert into archive_migrations (name, run_on) values ('99990101000000000_newer', now())";
    await archive.pool.query(newer);
    await archive.migrate();
    await checkArchive(archive.database);
  });
});
