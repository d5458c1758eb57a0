import { addressesOf, createKafka } from '../../kafka/kafka-client';
import { readDeadLetters, type StoredDeadLetter } from '../../kafka/dead-letters';
import { withAdmin } from '../../kafka/topics';
import type { KafkaAccess } from '../../../platform/config/access';
import { OperatorFault } from '../operator-error';

/**
 * Letters and marks. More than anybody reads, but a replay has to see behind the marks of what it has done; at about
 * 1 KB each they still fit into memory.
 */
export const RECORDS_READ_MAX = 100_000;

/** Ten thousand take about a second. */
const READ_MS_MAX = 60_000;

export interface DeadLetterReader {
  /** Where the log ends now: letters written from here on have this offset or a larger one. */
  readonly end: () => Promise<string>;
  /** Letters from an offset on; absent: the newest ones. */
  readonly read: (fromOffset?: string) => Promise<readonly StoredDeadLetter[]>;
}

/**
 * Reads the newest `recordsMax` letters and marks of a Kafka; every read has a connection of its own.
 * Every method throws an OperatorFault when it does not answer.
 */
export function createDeadLetterReader(
  access: KafkaAccess | readonly string[],
  topic: string,
  recordsMax = RECORDS_READ_MAX,
): DeadLetterReader {
  const kafka = createKafka('flash-sale-dead-letters', access);
  const explain = (cause: unknown): never => {
    const message = `Cannot read the dead letters in ${topic} from Kafka at ${addressesOf(access)}`;
    throw new OperatorFault('unavailable', message, { cause });
  };
  const offsets = () => withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic)).catch(explain);
  const newest = (all: readonly { readonly high: string }[]): string => {
    const first = smallest(all.map(({ high }) => BigInt(high))) - BigInt(recordsMax);
    return (first > 0n ? first : 0n).toString();
  };
  return {
    // With several partitions the smallest end may show a few older letters, never hide a newer one.
    end: async () => smallest((await offsets()).map(({ high }) => BigInt(high))).toString(),
    read: async (fromOffset) => {
      const first = fromOffset ?? newest(await offsets());
      const bounds = { max: recordsMax, msMax: READ_MS_MAX };
      return readDeadLetters(kafka, topic, { fromOffset: first, ...bounds }).catch(explain);
    },
  };
}

function smallest(numbers: readonly bigint[]): bigint {
  const [first = 0n, ...rest] = numbers;
  return rest.reduce((least, number) => (number < least ? number : least), first);
}
