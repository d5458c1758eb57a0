import type { Kafka } from 'kafkajs';
import { waitUntilIdle } from '../../client/snapshot';
import { createArchive } from '../../engine/archive/archive';
import { openArchive } from '../../engine/archive/database';
import { logEnds } from '../../engine/kafka/read-log';
import type { TopicNames } from '../../engine/kafka/topics';
import type { ItemId } from '../../engine/orders/order';
import { loadDatabaseAccess } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { closeDatabasePool, createDatabasePool } from '../../platform/postgres';
import { describeError } from '../../platform/user-error';

/** What the archive has of an item. Times are in milliseconds since the epoch. */
export interface ArchivedItem {
  /** What was not archived yet when the wait for it ended; undefined: everything is. */
  readonly behind?: string | undefined;
  /** As readers see them: with the state that follows from dead letters and other orders. */
  readonly orders: readonly ArchivedRow[];
  readonly events: readonly ArchivedEvent[];
  /** Ids of dead letters. */
  readonly letters: readonly string[];
  /** What was wrong with records of this engine, whichever item they are of. */
  readonly setAside: readonly string[];
}

export interface ArchivedRow {
  readonly orderId: string;
  readonly requestId: string;
  readonly itemId: string;
  readonly userId: string;
  readonly amount: number;
  readonly priceMinor: number;
  readonly currency: string;
  readonly acceptedAt: number;
  readonly status: string;
  readonly reason: string | null;
  readonly paymentId: string | null;
  readonly generation: number;
  readonly revision: number;
  readonly finishedAt: number | null;
  readonly refundedMinor: number;
}

export interface ArchivedEvent extends Pick<
  ArchivedRow,
  'orderId' | 'revision' | 'status' | 'reason' | 'paymentId' | 'generation'
> {
  readonly at: number;
}

/** An archiver that was killed is missed after 10 s, PostgreSQL after 25 s; another case may have it stopped meanwhile. */
const ARCHIVED_MS_MAX = 300_000;

/** Reads the archive itself, past the processes of the engine whose topics are given. */
export function openArchivedItems(databaseUrl: string, kafka: Kafka, topics: TopicNames) {
  const logger = createLogger('chaos', 'silent');
  const access = loadDatabaseAccess({ DATABASE_URL: databaseUrl });
  const pool = createDatabasePool(access, { name: 'chaos', logger });
  const database = openArchive(pool);
  const archive = createArchive(database);
  const { ordersTopic, orderEventsTopic, deadLetterTopic, operatorActionsTopic } = topics;
  const archived = [ordersTopic, orderEventsTopic, deadLetterTopic, operatorActionsTopic];

  /** The stretches that are not archived. */
  const behind = async (): Promise<string | undefined> => {
    const found: string[] = [];
    for (const topic of archived) {
      const positions = await archive.positions(topic);
      for (const { partition, high } of await logEnds(kafka, topic)) {
        const next = positions.get(partition) ?? 0n;
        if (next < high) found.push(`${topic}:${partition} from ${next} to ${high}`);
      }
    }
    return found.length === 0 ? undefined : `not archived: ${found.join(', ')}`;
  };

  const ordersOf = async (itemId: ItemId): Promise<ArchivedRow[]> => {
    const rows = await database
      .selectFrom('order_states')
      .selectAll()
      .where('item_id', '=', itemId)
      .execute();
    return rows.map((row) => ({
      orderId: row.order_id,
      requestId: row.request_id,
      itemId: row.item_id,
      userId: row.user_id,
      amount: row.amount,
      priceMinor: Number(row.price_minor),
      currency: row.currency,
      acceptedAt: row.accepted_at.getTime(),
      status: row.status,
      reason: row.reason,
      paymentId: row.payment_id,
      generation: Number(row.generation),
      revision: Number(row.revision),
      finishedAt: row.finished_at?.getTime() ?? null,
      refundedMinor: Number(row.refunded_minor),
    }));
  };

  const eventsOf = async (itemId: ItemId): Promise<ArchivedEvent[]> => {
    const rows = await database
      .selectFrom('order_events as e')
      .innerJoin('orders as o', 'o.order_id', 'e.order_id')
      .selectAll('e')
      .where('o.item_id', '=', itemId)
      .execute();
    return rows.map((row) => ({
      orderId: row.order_id,
      revision: Number(row.revision),
      status: row.status,
      reason: row.reason,
      paymentId: row.payment_id,
      generation: Number(row.generation),
      at: row.at.getTime(),
    }));
  };

  return {
    /** How many orders of an item are in the archive. Throws while PostgreSQL does not answer. */
    count: async (itemId: ItemId): Promise<number> => (await ordersOf(itemId)).length,

    /** What the archive has of an item once it has everything that is in the topics now, or has not got on for too long. */
    read: async (itemId: ItemId, signal: AbortSignal): Promise<ArchivedItem> => {
      const late = await waitUntilIdle(behind, { withinMs: ARCHIVED_MS_MAX, signal }).then(
        () => undefined,
        (error: unknown) => {
          signal.throwIfAborted();
          return describeError(error);
        },
      );
      const letters = await database
        .selectFrom('dead_letters')
        .select('letter_id')
        .where('item_id', '=', itemId)
        .execute();
      const setAside = await database
        .selectFrom('set_aside')
        .select(['topic', 'partition', 'record_offset', 'problem'])
        .where('topic', 'in', archived)
        .execute();
      return {
        behind: late,
        orders: await ordersOf(itemId),
        events: await eventsOf(itemId),
        letters: letters.map(({ letter_id }) => letter_id),
        setAside: setAside.map(
          ({ topic, partition, record_offset: offset, problem }) =>
            `${topic}:${partition}:${offset} (${problem})`,
        ),
      };
    },

    /** Forgets up to where the topics are archived, as a backup from before them does. */
    forgetPositions: async (): Promise<void> => {
      await database.deleteFrom('log_positions').where('topic', 'in', archived).execute();
    },

    close: () => closeDatabasePool(pool),
  };
}
