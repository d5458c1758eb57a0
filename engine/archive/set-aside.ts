import { sql } from 'kysely';
import type { LogRecord } from '../kafka/consumer';
import type { ArchiveDatabase } from './database';
import { project, type ArchivedLog } from './projection';
import { isRefusal, writeChanges } from './store';

/** A record that could not be archived. */
export interface SetAsideRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly problem: string;
  readonly at: Date;
  /** Bytes of its value; undefined: it has none. */
  readonly size: number | undefined;
}

export interface Retried {
  /** Records that are archived now. */
  readonly archived: number;
  /** Records that still cannot be archived, by what is wrong with them. */
  readonly left: readonly Pick<SetAsideRecord, 'topic' | 'partition' | 'offset' | 'problem'>[];
}

const PAGE = 100;

/** The records that were set aside, the newest first. Throws when PostgreSQL does not answer. */
export async function listSetAside(
  database: ArchiveDatabase,
  max: number,
): Promise<readonly SetAsideRecord[]> {
  const rows = await database
    .selectFrom('set_aside')
    .select(['topic', 'partition', 'record_offset', 'problem', 'set_aside_at'])
    .select(sql<number | null>`octet_length(value)`.as('size'))
    .orderBy('set_aside_at', 'desc')
    .limit(max)
    .execute();
  return rows.map(({ record_offset: offset, set_aside_at: at, size, ...row }) => ({
    ...row,
    offset,
    at,
    size: size ?? undefined,
  }));
}

/**
 * Archives again what was set aside, once the reason is mended, each record in a transaction of its own: its rows appear
 * with the deletion of what was set aside. May be repeated, and beside running archivers: a record that was archived
 * meanwhile changes nothing. Throws when PostgreSQL does not answer.
 */
export async function retrySetAside(
  database: ArchiveDatabase,
  logs: ReadonlyMap<string, ArchivedLog>,
): Promise<Retried> {
  let archived = 0;
  const left: Retried['left'][number][] = [];
  let after: Key = ['', 0, '0'];
  for (;;) {
    const rows = await database
      .selectFrom('set_aside')
      .selectAll()
      .where(
        sql<boolean>`(topic, partition, record_offset) > (${after[0]}, ${after[1]}::integer, ${after[2]}::bigint)`,
      )
      .orderBy('topic')
      .orderBy('partition')
      .orderBy('record_offset')
      .limit(PAGE)
      .execute();
    for (const { topic, partition, record_offset: offset, key, value, headers, ...row } of rows) {
      const record = { topic, partition, offset, key, value, headers: decodeHeaders(headers) };
      const isHole = key === null && value === null && headers === null;
      const problem = isHole
        ? row.problem
        : await archiveAgain(database, logs.get(topic), record, headers !== null);
      if (problem === undefined) archived += 1;
      else left.push({ topic, partition, offset, problem });
      after = [topic, partition, offset];
    }
    if (rows.length < PAGE) return { archived, left };
  }
}

type Key = readonly [topic: string, partition: number, offset: string];

/** Undefined once the record is archived, else what is wrong with it. */
async function archiveAgain(
  database: ArchiveDatabase,
  log: ArchivedLog | undefined,
  record: LogRecord,
  hasHeaders: boolean,
): Promise<string | undefined> {
  if (!log) return 'its topic is none of those that are archived now';
  // All that a letter says is in its headers.
  if (log === 'dead-letters' && !hasHeaders) return 'an older version did not keep its headers';
  const changes = project(log, [record]);
  const [bad] = changes.set_aside;
  if (bad) return bad.problem;
  const { topic, partition, offset } = record;
  try {
    await database.transaction().execute(async (transaction) => {
      await writeChanges(transaction, changes);
      await transaction
        .deleteFrom('set_aside')
        .where('topic', '=', topic)
        .where('partition', '=', partition)
        .where('record_offset', '=', offset)
        .execute();
    });
    return undefined;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.message;
  }
}

function decodeHeaders(bytes: Buffer | null): LogRecord['headers'] {
  if (!bytes) return {};
  const encoded = JSON.parse(bytes.toString()) as Record<string, string | null>;
  return Object.fromEntries(
    Object.entries(encoded).map(([name, value]) => [
      name,
      value === null ? undefined : Buffer.from(value, 'base64'),
    ]),
  );
}
