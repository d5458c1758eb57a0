import type { Kafka } from 'kafkajs';
import type { ArchiveDatabase } from '../archive/database';
import { createItemHistory } from '../archive/item-history';
import { knownStock } from '../archive/known-stock';
import { logReachesBackTo } from '../kafka/read-log';
import { createFinishClaims } from '../stock/claims';
import type { RedisConnection } from '../../platform/redis';
import { createRecordsBehind } from './archive-lag';
import { createArchivedHistory } from './archived-history';
import type { RebuildDeps } from './rebuild-ledger';

/** An archiver that was away catches up in the meantime, or is far behind. */
const WAIT_MS_MAX = 30_000;

/** What a rebuild takes from the archive. Its methods throw when one of the systems does not answer. */
export function createArchivedLedger({
  database,
  redis,
  kafka,
  topics,
  ...past
}: Pick<
  Parameters<typeof createArchivedHistory>[0],
  'runs' | 'readCancellations' | 'orderRetentionMs'
> & {
  readonly database: ArchiveDatabase;
  readonly redis: RedisConnection;
  readonly kafka: Kafka;
  readonly topics: Readonly<Record<'orders' | 'events' | 'actions', string>>;
}): NonNullable<RebuildDeps['archived']> {
  const behind = createRecordsBehind({ database, kafka }, Object.values(topics), WAIT_MS_MAX);
  const { restore } = createArchivedHistory({
    ...past,
    archive: createItemHistory(database),
    behind,
    logReachesBackTo: (sinceMs) => logReachesBackTo(kafka, topics.orders, sinceMs),
    eventsTopic: topics.events,
  });
  return {
    restore,
    stock: async (itemId) => {
      // Restocks are in the record of actions.
      await behind();
      return knownStock({ archive: database, redis }, itemId);
    },
    finishClaims: createFinishClaims(redis),
    orderRetentionMs: past.orderRetentionMs,
  };
}
