import { readdirSync } from 'node:fs';
import { join, parse } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client, type ClientConfig } from 'pg';
import { sql } from 'kysely';
import type { Logger } from '../../platform/logger';
import type { ArchiveDatabase } from './database';

/** SQL files, which run as they are from the sources and from the build. Their names begin with a time: that is their order. */
const MIGRATIONS = join(__dirname, 'migrations');
const TABLE = 'archive_migrations';

/** "archive" in ASCII. The same in every version: it keeps their migrations apart. */
const LOCK_ID = 0x61726368;

/** Another copy may be at work, and a table may be in use. A statement that waits for a table keeps new readers from it. */
const LOCK_MS_MAX = 30_000;

/**
 * Brings the schema up to this version, one migration in a transaction at a time. Copies wait for one another. A schema
 * that is newer is left as it is: migrations only go forward, and each leaves the version before it at work. Throws when
 * the database does not answer.
 */
export async function migrateArchive(connection: ClientConfig, logger: Logger): Promise<void> {
  const client = new Client(connection);
  // Reported by the query that fails with it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`set lock_timeout = ${LOCK_MS_MAX}`);
    await client.query(`select pg_advisory_lock(${LOCK_ID})`);
    const applied = await runner({
      dbClient: client,
      dir: MIGRATIONS,
      migrationsTable: TABLE,
      direction: 'up',
      checkOrder: true,
      // The library's own lock gives up at once.
      noLock: true,
      logger: {
        info: (text) => {
          logger.debug(text);
        },
        warn: (text) => {
          logger.warn(text);
        },
        error: (text) => {
          logger.error(text);
        },
      },
    });
    if (applied.length > 0) {
      logger.info({ migrations: applied.map(({ name }) => name) }, 'the archive is migrated');
    }
  } finally {
    // With its session the lock ends as well.
    await client.end();
  }
}

/** Throws unless the schema is that of this version or a later one. */
export async function checkArchive(database: ArchiveDatabase): Promise<void> {
  const names = readdirSync(MIGRATIONS).map((file) => parse(file).name);
  const { rows } = await sql<{
    exists: boolean;
  }>`select to_regclass(${TABLE}) is not null as exists`.execute(database);
  const applied = rows[0]?.exists
    ? (await sql<{ name: string }>`select name from ${sql.table(TABLE)}`.execute(database)).rows
    : [];
  const missing = names.filter((name) => !applied.some((one) => one.name === name));
  if (missing.length > 0) {
    throw new Error(`the archive is not migrated: ${missing.join(', ')} is missing; setup does it`);
  }
}
