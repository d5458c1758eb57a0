import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { createArchive, type Archive } from '../archive/archive';
import type { ArchiveDatabase } from '../archive/database';
import { createEndedOrders, type EndedOrders } from '../archive/ended-orders';
import { logEnds, type LogEnd } from '../kafka/read-log';

const LOOK_EVERY_MS = 500;

/** The step of an order asks: an archiver that runs needs a second, and for any other one the order parks. */
const STEP_WAIT_MS_MAX = 2_000;

/**
 * How many records of these topics, as they are now, the archive has not. Waits for them for a while: an archiver that runs
 * needs a second. Throws when Kafka or PostgreSQL does not answer.
 */
export async function recordsBehind(
  {
    archive,
    logEnds,
  }: {
    readonly archive: Pick<Archive, 'positions'>;
    readonly logEnds: (topic: string) => Promise<readonly LogEnd[]>;
  },
  topics: readonly string[],
  waitMsMax: number,
): Promise<number> {
  const ends = new Map<string, readonly LogEnd[]>();
  for (const topic of topics) ends.set(topic, await logEnds(topic));
  const deadline = Date.now() + waitMsMax;
  for (;;) {
    let behind = 0n;
    for (const [topic, partitions] of ends) {
      const positions = await archive.positions(topic);
      for (const { partition, low, high } of partitions) {
        const position = positions.get(partition) ?? low;
        // A log that has gone back is archived anew.
        behind += high - (position > high ? low : position);
      }
    }
    if (behind === 0n || Date.now() >= deadline) return Number(behind);
    await sleep(LOOK_EVERY_MS);
  }
}

/** The same between the archive and the log themselves. */
export function createRecordsBehind(
  { database, kafka }: { readonly database: ArchiveDatabase; readonly kafka: Kafka },
  topics: readonly string[],
  waitMsMax: number,
): () => Promise<number> {
  const deps = {
    archive: createArchive(database),
    logEnds: (topic: string) => logEnds(kafka, topic),
  };
  return () => recordsBehind(deps, topics, waitMsMax);
}

/** The ends of orders, which are definite once the archive has every record that the log has now. */
export function openEndedOrders(
  deps: { readonly database: ArchiveDatabase; readonly kafka: Kafka },
  topics: readonly string[],
): EndedOrders {
  return createEndedOrders(deps.database, createRecordsBehind(deps, topics, STEP_WAIT_MS_MAX));
}
