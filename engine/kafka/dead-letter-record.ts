import type { IHeaders } from 'kafkajs';
import { FAILURE_REASONS, type FailureReason } from '../orders/order';
import type { LogRecord } from './consumer';
import { MARK_KINDS, type DeadLetter, type DeadLetterMark } from '../orders/dead-letter';
import type { LogEntry } from './safe-producer';

/** Words for people: a stack or a body of megabytes would crowd out the record it explains. */
const ERROR_LENGTH_MAX = 1_000;

/** The record of a dead letter: the original bytes as its value, everything else in headers, so that plain Kafka tools show it. */
export function encodeDeadLetter(letter: DeadLetter): LogEntry {
  const { source } = letter;
  const headers: Record<string, string> = {
    id: letter.id,
    reason: letter.reason,
    error: letter.error.slice(0, ERROR_LENGTH_MAX),
    generation: String(letter.generation),
    at: String(letter.at),
    ...(letter.requestId !== undefined && { request_id: letter.requestId }),
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
 * Reads a dead letter back. What another hand has put into the topic is shown, not hidden: it reads as an
 * `invalid-record` named by its own place, and at 0 milliseconds since the epoch when it does not say when.
 */
export function decodeDeadLetter(record: LogRecord): DeadLetter {
  const header = (name: string) => headerText(record.headers, name);
  const place = `${record.topic}:${record.partition}:${record.offset}`;
  const requestId = header('request_id');
  const itemId = header('item_id');
  const runId = header('run');
  const topic = header('source-topic');
  const offset = header('source-offset');
  const reason = FAILURE_REASONS.find((known) => known === header('reason'));
  return {
    id: header('id') ?? place,
    reason: reason ?? ('invalid-record' satisfies FailureReason),
    error: header('error') ?? 'this record of the dead-letter topic does not say what failed',
    generation: wholeNumber(header('generation')),
    at: wholeNumber(header('at')),
    value: record.value ?? Buffer.alloc(0),
    ...(requestId !== undefined && { requestId }),
    ...(itemId !== undefined && { itemId }),
    ...(runId !== undefined && { runId }),
    ...(topic !== undefined &&
      offset !== undefined && {
        source: { topic, partition: wholeNumber(header('source-partition')), offset },
      }),
  };
}

/** The record of a mark: headers only, under the key of its letter, so that it follows the letter in one partition. */
export function encodeMark(
  letter: Pick<DeadLetter, 'id' | 'requestId'>,
  mark: Omit<DeadLetterMark, 'letterId'>,
): LogEntry {
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

/** Reads a mark back; undefined for every other record, which then is a letter. */
export function decodeMark({ headers }: Pick<LogRecord, 'headers'>): DeadLetterMark | undefined {
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
