import { setTimeout as sleep } from 'node:timers/promises';
import type { Archive } from '../archive/archive';
import type { LogEnd } from '../kafka/read-log';

const LOOK_EVERY_MS = 500;

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
