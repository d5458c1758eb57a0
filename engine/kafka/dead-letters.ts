import type { IHeaders, Kafka } from 'kafkajs';
import { MARK_KINDS, type DeadLetter, type DeadLetterMark } from '../orders/dead-letter';
import { FAILURE_REASONS } from '../orders/order';
import type { LogRecord } from './consumer';
import { readLog } from './read-log';
import type { LogEntry, SafeProducer } from './safe-producer';

export interface DeadLetterWriter {
  /** Resolves once Kafka has the letter, perhaps twice. Rejects as the producer's `append` does. */
  write(letter: DeadLetter): Promise<void>;
}

/** Writes dead letters. `producer` appends to the dead-letter topic. */
export function createDeadLetterWriter(producer: Pick<SafeProducer, 'append'>): DeadLetterWriter {
  return {
    write: async (letter) => {
      await producer.append(encodeDeadLetter(letter));
    },
  };
}

export interface MarkWriter {
  /** Resolves once Kafka has the mark, perhaps twice. Rejects as the producer's `append` does. */
  mark(letter: DeadLetter, mark: Omit<DeadLetterMark, 'letterId'>): Promise<void>;
}

/** Writes marks. `producer` appends to the dead-letter topic. */
export function createMarkWriter(producer: Pick<SafeProducer, 'append'>): MarkWriter {
  return {
    mark: async (letter, mark) => {
      await producer.append(encodeMark(letter, mark));
    },
  };
}

/** A dead letter, its place in the topic, and its marks, oldest first; absent: none. */
export interface StoredDeadLetter extends DeadLetter {
  readonly partition: number;
  readonly offset: string;
  readonly marks?: readonly DeadLetterMark[];
}

/** Bounds the memory of one read. */
const LETTERS_MAX = 10_000;
/** Joining a group takes up to 3 s on a broker with default settings, reading ten thousand letters about one. */
const READ_MS_MAX = 30_000;

/**
 * The first `max` letters from `fromOffset` (in every partition) to the end of the log at the time of the call, without
 * repeats of an id. Each has all its marks up to that end, whatever `max` is. Commits nothing and leaves no consumer
 * group behind. Throws when Kafka does not deliver the records in `msMax`.
 */
export async function readDeadLetters(
  kafka: Kafka,
  topic: string,
  options: {
    readonly fromOffset?: string;
    readonly max?: number;
    readonly msMax?: number;
  } = {},
): Promise<readonly StoredDeadLetter[]> {
  const { fromOffset = '0', max = LETTERS_MAX, msMax = READ_MS_MAX } = options;
  const { letters, marks } = await readLettersAndMarks(kafka, topic, { fromOffset, max, msMax });
  return letters.map((letter) => {
    const found = marks.get(letter.id);
    return found ? { ...letter, marks: found } : letter;
  });
}

/** The same, with the marks apart: they may be of letters that are before the start. */
export async function readLettersAndMarks(
  kafka: Kafka,
  topic: string,
  { max, ...options }: Parameters<typeof readLog>[2] & { readonly max: number },
): Promise<{
  readonly letters: readonly StoredDeadLetter[];
  /** By letter id, the oldest first. */
  readonly marks: ReadonlyMap<string, readonly DeadLetterMark[]>;
}> {
  const letters = new Map<string, StoredDeadLetter>();
  const marks = new Map<string, DeadLetterMark[]>();
  await readLog(kafka, topic, options, (record) => {
    const mark = decodeMark(record);
    if (mark) {
      const before = marks.get(mark.letterId);
      if (before) before.push(mark);
      else marks.set(mark.letterId, [mark]);
    } else if (letters.size < max) {
      const { partition, offset } = record;
      const letter = decodeDeadLetter(record);
      if (!letters.has(letter.id)) letters.set(letter.id, { ...letter, partition, offset });
    }
  });
  return { letters: [...letters.values()], marks };
}

/** A stack or a body of megabytes would exceed the size of a record. */
const ERROR_LENGTH_MAX = 1_000;

/** The value is the original record; all else is in headers, so that ordinary Kafka tools show it. */
function encodeDeadLetter(letter: DeadLetter): LogEntry {
  const { source } = letter;
  const headers: Record<string, string> = {
    id: letter.id,
    reason: letter.reason,
    error: letter.error.slice(0, ERROR_LENGTH_MAX),
    generation: String(letter.generation),
    at: String(letter.at),
    ...(letter.requestId !== undefined && { request_id: letter.requestId }),
    ...(letter.orderId !== undefined && { order_id: letter.orderId }),
    ...(letter.itemId !== undefined && { item_id: letter.itemId }),
    ...(letter.runId !== undefined && { run: letter.runId }),
    ...(source && {
      'source-topic': source.topic,
      'source-partition': String(source.partition),
      'source-offset': source.offset,
    }),
  };
  return { key: letter.requestId ?? letter.id, value: letter.value, headers };
}

/**
 * Decodes a dead letter. Records that the engine did not write are shown, too: as `invalid-record`, with their place as
 * id, and at time 0 unless they name one.
 */
export function decodeDeadLetter(record: LogRecord): DeadLetter {
  const header = (name: string) => headerText(record.headers, name);
  const requestId = header('request_id');
  const orderId = header('order_id');
  const itemId = header('item_id');
  const runId = header('run');
  const topic = header('source-topic');
  const offset = header('source-offset');
  return {
    id: header('id') ?? `${record.topic}:${record.partition}:${record.offset}`,
    reason: FAILURE_REASONS.find((known) => known === header('reason')) ?? 'invalid-record',
    error: header('error') ?? 'this record of the dead-letter topic does not name an error',
    generation: wholeNumber(header('generation')),
    at: wholeNumber(header('at')),
    value: record.value ?? Buffer.alloc(0),
    ...(requestId !== undefined && { requestId }),
    ...(orderId !== undefined && { orderId }),
    ...(itemId !== undefined && { itemId }),
    ...(runId !== undefined && { runId }),
    ...(topic !== undefined &&
      offset !== undefined && {
        source: { topic, partition: wholeNumber(header('source-partition')), offset },
      }),
  };
}

/** A mark has headers only, and the key of its letter, so that it follows the letter in the same partition. */
function encodeMark(letter: DeadLetter, mark: Omit<DeadLetterMark, 'letterId'>): LogEntry {
  const headers = {
    mark: mark.kind,
    'mark-of': letter.id,
    by: mark.by,
    why: mark.why,
    at: String(mark.at),
    ...(mark.runId !== undefined && { run: mark.runId }),
  };
  return { key: letter.requestId ?? letter.id, value: Buffer.alloc(0), headers };
}

/** Decodes a mark; undefined for any other record, which is a letter then. */
export function decodeMark({ headers }: LogRecord): DeadLetterMark | undefined {
  const kind = MARK_KINDS.find((known) => known === headerText(headers, 'mark'));
  const letterId = headerText(headers, 'mark-of');
  if (kind === undefined || letterId === undefined) return undefined;
  const runId = headerText(headers, 'run');
  return {
    kind,
    letterId,
    by: headerText(headers, 'by') ?? 'unknown',
    why: headerText(headers, 'why') ?? '',
    at: wholeNumber(headerText(headers, 'at')),
    ...(runId !== undefined && { runId }),
  };
}

function headerText(headers: IHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0]?.toString() : value?.toString();
}

function wholeNumber(text: string | undefined): number {
  const value = Number(text ?? 0);
  return Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
