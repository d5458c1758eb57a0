import type { DeadLetterMark } from '../orders/dead-letter';
import type { StoredDeadLetter } from '../kafka/dead-letters';
import { stateOf, timeOf } from './letters';

/** A letter as a JSON document shows it in a list. */
export function letterJson(letter: StoredDeadLetter) {
  return {
    at: timeOf(letter.at) ?? null,
    request_id: letter.requestId ?? null,
    reason: letter.reason,
    generation: letter.generation,
    item_id: letter.itemId ?? null,
    error: letter.error,
    id: letter.id,
    run_id: letter.runId ?? null,
    partition: letter.partition,
    offset: letter.offset,
    source: letter.source ?? null,
    state: stateOf(letter),
    marks: (letter.marks ?? []).map(markJson),
  };
}

/** The same with the original bytes, as text where they are some. */
export function wholeLetterJson(letter: StoredDeadLetter) {
  return {
    ...letterJson(letter),
    value: utf8Text(letter.value) ?? null,
    value_base64: letter.value.toString('base64'),
  };
}

/** The text that the bytes are, or undefined where they are none. */
export function utf8Text(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  // Whatever is no UTF-8 has been replaced, and does not come back as the same bytes.
  return Buffer.from(text).equals(bytes) ? text : undefined;
}

function markJson({ kind, by, why, at, runId }: DeadLetterMark) {
  return { kind, by, why, at: timeOf(at) ?? null, run_id: runId ?? null };
}
