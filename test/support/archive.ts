import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { openArchive, type ArchiveTables } from '../../engine/archive/database';
import { migrateArchive } from '../../engine/archive/migrate';
import { project } from '../../engine/archive/projection';
import { createArchiveStore } from '../../engine/archive/store';
import { loadDatabaseAccess } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { closeDatabasePool, connectionOptions, createDatabasePool } from '../../platform/postgres';
import { databaseUrl } from './addresses';
import { batches, type Archived } from './archived-records';

const logger = createLogger('test', 'silent');

/** An archive in a database of its own, as setup leaves it. */
export async function createTestArchive({ isMigrated = true } = {}) {
  const url = new URL(databaseUrl());
  url.pathname = `/archive_${randomUUID().replaceAll('-', '')}`;
  await onServer(`create database "${url.pathname.slice(1)}"`);
  const access = loadDatabaseAccess({ DATABASE_URL: url.href });
  const connection = connectionOptions(access, 'test');
  const migrate = () => migrateArchive(connection, logger);
  if (isMigrated) await migrate();
  const pool = createDatabasePool(access, { name: 'test', logger, connectionsMax: 10 });
  const database = openArchive(pool);
  return {
    url: url.href,
    database,
    pool,
    migrate,
    /** All rows of a table, without the times at which they were written. */
    rows: async (table: keyof ArchiveTables) => {
      const { rows } = await pool.query<Record<string, unknown>>(
        `select * from ${table} as t order by t::text`,
      );
      return rows.map((row) =>
        Object.fromEntries(Object.entries(row).filter(([name]) => !STAMPS.has(name))),
      );
    },
    /** Writes records, each batch of them in a log of its own. */
    fill: async (...records: readonly Archived[]): Promise<void> => {
      const store = createArchiveStore(database);
      for (const batch of batches(records)) {
        const log = batch[0]?.log ?? 'orders';
        const changes = project(
          log,
          batch.map(({ record }) => record),
        );
        const topic = randomUUID();
        await store.write({ topic, partition: 0, from: undefined, to: 1n }, changes);
      }
    },
    empty: async (): Promise<void> => {
      await pool.query(`truncate ${ROWS.join()}, log_positions`);
    },
    drop: async (): Promise<void> => {
      await closeDatabasePool(pool);
      await onServer(`drop database "${url.pathname.slice(1)}" with (force)`);
    },
  };
}

export type TestArchive = Awaited<ReturnType<typeof createTestArchive>>;

/** The tables whose rows come from records. */
export const ROWS = [
  'orders',
  'order_events',
  'order_returns',
  'dead_letters',
  'dead_letter_marks',
  'operator_actions',
  'set_aside',
] as const;

const STAMPS = new Set(['left_ledger_at', 'archived_at', 'updated_at', 'set_aside_at']);

/** All of them, as the archive has them. */
export async function allRows(archive: Pick<TestArchive, 'rows'>) {
  const tables = await Promise.all(ROWS.map(async (table) => [table, await archive.rows(table)]));
  return Object.fromEntries(tables) as Record<(typeof ROWS)[number], Record<string, unknown>[]>;
}

async function onServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl() });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
