import {
  createArchivedLetters,
  GROUPS_MAX,
  type ArchivedLetters,
  type LetterCursor,
} from '../archive/dead-letters';
import type { ArchiveDatabase } from '../archive/database';
import { readLettersAndMarks, type StoredDeadLetter } from '../kafka/dead-letters';
import { addressesOf, createKafka } from '../kafka/kafka-client';
import { logEnds, type LogEnd } from '../kafka/read-log';
import type { DeadLetterMark } from '../orders/dead-letter';
import type { KafkaAccess } from '../../platform/config/access';
import { within } from '../../platform/until';
import { describeError } from '../../platform/user-error';
import {
  countLetters,
  RETRYABLE,
  selectLetters,
  type LetterCount,
  type LetterFilter,
} from './letters';
import { OperatorError, unavailable } from './operator';

/** All dead letters at one moment, read as they are needed. The methods throw an OperatorError. */
export interface Letters {
  /** What may be missing, in sentences for an operator. Empty: nothing is. */
  readonly warnings: readonly string[];
  /** The letters with these ids, and all letters of these request_ids. Throws for an id without a letter. */
  readonly of: (ids: readonly string[]) => Promise<readonly StoredDeadLetter[]>;
  /** The newest that match, before a letter if one is given; the oldest of them first. */
  readonly newest: (
    filter: LetterFilter,
    limit: number,
    before?: LetterCursor,
  ) => Promise<readonly StoredDeadLetter[]>;
  /** All that match, page by page, oldest first. What was written long after the reading began is left for the next one. */
  readonly pages: (filter: LetterFilter) => AsyncIterable<readonly StoredDeadLetter[]>;
  /** The letters that match, and the orders that may be replayed for them. */
  readonly totals: (filter: LetterFilter) => Promise<{ letters: number; orders: number }>;
  /** By failure and by item, the most frequent first, the first 1,000 of each. */
  readonly count: (filter: LetterFilter) => Promise<ReturnType<typeof countLetters>>;
}

/** A person looks at the list meanwhile. */
const ARCHIVE_MS_MAX = 3_000;
/** Ten thousand records take about a second. */
const READ_MS_MAX = 60_000;

/**
 * Reads the letters from the archive, and from the topic what the archive has not yet: at most `recordsMax` records, which
 * are in memory. Without an archive, and while it is away, these are the newest records of the topic.
 */
export async function readLetters({
  kafka: access,
  topic,
  archive: database,
  recordsMax,
}: {
  readonly kafka: KafkaAccess | readonly string[];
  readonly topic: string;
  readonly archive?: ArchiveDatabase | undefined;
  readonly recordsMax: number;
}): Promise<Letters> {
  const kafka = createKafka('flash-sale-dead-letters', access);
  const failed = unavailable(
    `Cannot read the dead letters in ${topic} from Kafka at ${addressesOf(access)}`,
  );
  const archive = database && createArchivedLetters(database);
  // Before the end of the log is looked up: what is archived meanwhile is read twice, and nothing is missed.
  const opened = archive && (await openArchive(archive, topic));
  const positions = opened?.positions ?? new Map<number, bigint>();
  const ends = await logEnds(kafka, topic).catch(failed);
  const { fromOffsets, left } = startOf(ends, positions, recordsMax);
  const options = { fromOffsets, max: recordsMax, msMax: READ_MS_MAX };
  const isRead = ends.every(({ partition, high }) => (fromOffsets.get(partition) ?? 0n) >= high);
  const tail = isRead ? NOTHING : await readLettersAndMarks(kafka, topic, options).catch(failed);

  if (!archive || !opened || opened.failure !== undefined) {
    const newest = `only the newest ${recordsMax} records of ${topic} were read`;
    const warnings: string[] = [];
    if (opened) {
      const why = `The archive gives no answer (${opened.failure})`;
      warnings.push(`${why}. Old dead letters may be missing: ${newest}.`);
    } else if (left > 0) {
      warnings.push(`Old dead letters are missing: ${newest}, and ${left} older ones were not.`);
    }
    return createLetters({ memory: withMarks(tail.letters, tail.marks), warnings });
  }
  const warnings: string[] = [];
  if (left > 0) {
    warnings.push(
      `Dead letters may be missing: ${left} records of ${topic} are neither archived yet nor among the newest ${recordsMax}.`,
    );
  }
  if (opened.setAside > 0) {
    warnings.push(
      `Dead letters may be missing: ${opened.setAside} records of ${topic} could not be archived (flash-sale archive ls).`,
    );
  }
  const memory = await joinTail(archive, tail).catch(archiveFailed);
  return createLetters({ memory, archive, warnings });
}

const NOTHING = { letters: [], marks: new Map<string, readonly DeadLetterMark[]>() };

/** Whether the archive answers, and how far it is. */
async function openArchive(archive: ArchivedLetters, topic: string) {
  const asked = Promise.all([archive.positions(topic), archive.setAside(topic)]);
  try {
    const [positions, setAside] = await within(asked, ARCHIVE_MS_MAX, 'a query');
    return { positions, setAside, failure: undefined };
  } catch (error) {
    return { positions: new Map<number, bigint>(), setAside: 0, failure: describeError(error) };
  }
}

/** Where to read on behind the positions, at most `recordsMax` records in all, and how many are left out by that. */
function startOf(
  ends: readonly LogEnd[],
  positions: ReadonlyMap<number, bigint>,
  recordsMax: number,
): { readonly fromOffsets: ReadonlyMap<number, bigint>; readonly left: number } {
  const share = BigInt(Math.ceil(recordsMax / Math.max(1, ends.length)));
  let left = 0n;
  const fromOffsets = ends.map(({ partition, low, high }): [number, bigint] => {
    const position = positions.get(partition) ?? 0n;
    // A log that ends before what was archived of it is a new one.
    const known = position > high ? 0n : position;
    const first = known > low ? known : low;
    const start = high - share > first ? high - share : first;
    left += start - first;
    return [partition, start];
  });
  return { fromOffsets: new Map(fromOffsets), left: Number(left) };
}

const archiveFailed = unavailable('The archive gives no answer');

/**
 * Every letter that records of the tail are about, with all its marks, and all other letters of their orders: what is not
 * among these is in the archive alone.
 */
async function joinTail(
  archive: ArchivedLetters,
  { letters, marks }: Awaited<ReturnType<typeof readLettersAndMarks>>,
): Promise<readonly StoredDeadLetter[]> {
  const requestIds = (some: readonly StoredDeadLetter[]) =>
    some.flatMap(({ requestId }) => requestId ?? []);
  const ids = [...letters.map(({ id }) => id), ...marks.keys(), ...requestIds(letters)];
  const named = await archive.of(ids);
  const archived = await archive.of([...new Set([...ids, ...requestIds(named)])]);
  const all = new Map(letters.map((letter) => [letter.id, letter]));
  for (const letter of archived) all.set(letter.id, letter);
  return withMarks([...all.values()], marks);
}

/** A mark may have been archived after the positions were read: then it is among the letter's own as well. */
function withMarks(
  letters: readonly StoredDeadLetter[],
  marks: ReadonlyMap<string, readonly DeadLetterMark[]>,
): readonly StoredDeadLetter[] {
  return letters.map((letter) => {
    const found = marks.get(letter.id);
    if (!found) return letter;
    const all = new Map([...(letter.marks ?? []), ...found].map((mark) => [markKey(mark), mark]));
    return { ...letter, marks: [...all.values()] };
  });
}

function markKey({ kind, by, at }: DeadLetterMark): string {
  return JSON.stringify([kind, by, at]);
}

const PAGE = 200;
/** Clocks differ. A replay whose orders fail again and again would otherwise have letters before it for ever. */
const WRITTEN_LATER_MS = 10 * 60_000;

/** Letters in memory, and those that only the archive has. */
export function createLetters({
  memory,
  archive,
  warnings = [],
}: {
  readonly memory: readonly StoredDeadLetter[];
  readonly archive?: ArchivedLetters;
  readonly warnings?: readonly string[];
}): Letters {
  const except = memory.map(({ id }) => id);
  const lastAt = Date.now() + WRITTEN_LATER_MS;
  const ask = <T>(question: (archive: ArchivedLetters) => Promise<T>, nothing: T): Promise<T> =>
    archive ? question(archive).catch(archiveFailed) : Promise.resolve(nothing);

  return {
    warnings,
    of: async (ids) => {
      const wanted = new Set(ids);
      const archived = await ask((it) => it.of(ids), []);
      const known = new Set(except);
      const found = [
        ...memory.filter(({ id, requestId = '' }) => wanted.has(id) || wanted.has(requestId)),
        ...archived.filter(({ id }) => !known.has(id)),
      ];
      const names = new Set(found.flatMap(({ id, requestId = id }) => [id, requestId]));
      const unknown = ids.find((id) => !names.has(id));
      if (unknown === undefined) return found;
      const message = `No dead letter has the request_id or letter id ${unknown}. Nothing was changed.`;
      throw new OperatorError('unknown-letter', [message, ...warnings].join(' '));
    },
    newest: async (filter, limit, before) => {
      const own = selectLetters(memory, filter).filter(
        (letter) => !before || isBefore(letter, before),
      );
      const page = { order: 'newest first', limit, after: before } as const;
      const archived = await ask((it) => it.page({ filter, except }, page), []);
      return [...own, ...archived].sort(byTime).slice(-limit);
    },
    pages: async function* (filter) {
      let own = selectLetters(memory, filter);
      let after: LetterCursor | undefined;
      for (;;) {
        const page = { order: 'oldest first', limit: PAGE, after } as const;
        const archived = await ask((it) => it.page({ filter, except }, page), []);
        const last = archived.length < PAGE ? undefined : archived.at(-1);
        const isOver = !last || last.at > lastAt;
        const isDue = (letter: LetterCursor) => isOver || isBefore(letter, last);
        yield [...own.filter(isDue), ...archived].sort(byTime);
        own = own.filter((letter) => !isDue(letter));
        if (isOver) return;
        after = last;
      }
    },
    totals: async (filter) => {
      const own = selectLetters(memory, filter);
      const orders = new Set(
        own.flatMap(({ reason, requestId }) =>
          RETRYABLE.includes(reason) ? (requestId ?? []) : [],
        ),
      );
      const nothing = { letters: 0, orders: 0 };
      const archived = await ask((it) => it.totals({ filter, except }, RETRYABLE), nothing);
      return {
        letters: own.length + archived.letters,
        orders: orders.size + archived.orders,
      };
    },
    count: async (filter) => {
      const own = countLetters(memory, filter);
      if (!archive) return own;
      const selection = { filter, except };
      const { letters } = await ask((it) => it.totals(selection, RETRYABLE), NO_LETTERS);
      const { by_failure: failures, by_item: items } = await ask((it) => it.groups(selection), own);
      return {
        total: own.total + letters,
        by_failure: joinCounts([...own.by_failure, ...failures]),
        by_item: joinCounts([...own.by_item, ...items]),
      };
    },
  };
}

const NO_LETTERS = { letters: 0, orders: 0 };

function isBefore(letter: LetterCursor, other: LetterCursor): boolean {
  return letter.at < other.at || (letter.at === other.at && letter.id < other.id);
}

function byTime(one: LetterCursor, other: LetterCursor): number {
  if (isBefore(one, other)) return -1;
  return isBefore(other, one) ? 1 : 0;
}

/** One group of each key, the largest first. */
function joinCounts<Group extends LetterCount>(groups: readonly Group[]): Group[] {
  const joined = new Map<string, Group>();
  for (const group of groups) {
    const { count, first, last, ...key } = group;
    const name = JSON.stringify(key);
    const before = joined.get(name);
    const times = (one: string | null, other: string | null | undefined) =>
      [one, other].filter((at) => typeof at === 'string').sort();
    joined.set(name, {
      ...group,
      count: count + (before?.count ?? 0),
      first: times(first, before?.first)[0] ?? null,
      last: times(last, before?.last).at(-1) ?? null,
    });
  }
  return [...joined.values()].sort((one, other) => other.count - one.count).slice(0, GROUPS_MAX);
}
