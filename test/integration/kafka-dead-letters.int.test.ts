import type { DeadLetter } from '../../engine/orders/dead-letter';
import {
  createDeadLetterWriter,
  createMarkWriter,
  readDeadLetters,
} from '../../engine/kafka/dead-letters';
import { withAdmin } from '../../engine/kafka/topics';
import { useRealLog } from '../engine/kafka/real-log';

const log = useRealLog();
afterEach(() => log.closeAll());

const LETTER: DeadLetter = {
  id: 'req-1:run-1',
  requestId: 'req-1',
  itemId: '101',
  reason: 'payment-declined',
  error: 'insufficient funds – “no”',
  generation: 2,
  runId: 'run-1',
  at: 1_700_000_000_000,
  source: { topic: 'orders', partition: 3, offset: '42' },
  value: Buffer.from([0, 255, 123, 34]),
};

async function openLetters() {
  const { deadLetterTopic: topic } = await log.topics();
  const producer = await log.producer(topic, 1);
  return { topic, producer, writer: createDeadLetterWriter(producer) };
}

describe('readDeadLetters', () => {
  test('returns every field of a letter and its bytes', async () => {
    const { topic, writer } = await openLetters();
    await writer.write(LETTER);
    const read = await readDeadLetters(log.kafka(), topic);
    expect(read).toEqual([{ ...LETTER, partition: 0, offset: '0' }]);
  });

  test('leaves out fields that a letter does not have', async () => {
    const { topic, writer } = await openLetters();
    const { id, reason, error, generation, at, value } = LETTER;
    const bare: DeadLetter = { id, reason, error, generation, at, value };
    await writer.write(bare);
    const read = await readDeadLetters(log.kafka(), topic);
    expect(read).toEqual([{ ...bare, partition: 0, offset: '0' }]);
  });

  test('returns at once for an empty topic', async () => {
    const { topic } = await openLetters();
    await expect(readDeadLetters(log.kafka(), topic)).resolves.toEqual([]);
  });

  test('drops repeated ids', async () => {
    const { topic, writer } = await openLetters();
    for (const id of ['a', 'b', 'a']) await writer.write({ ...LETTER, id });
    const read = await readDeadLetters(log.kafka(), topic);
    expect(read.map(({ id, offset }) => `${id}@${offset}`)).toEqual(['a@0', 'b@1']);
  });

  test('starts at an offset and returns at most max letters', async () => {
    const { topic, writer } = await openLetters();
    for (const id of ['a', 'b', 'c', 'd']) await writer.write({ ...LETTER, id });
    const read = await readDeadLetters(log.kafka(), topic, { fromOffset: '1', max: 2 });
    expect(read.map(({ id }) => id)).toEqual(['b', 'c']);
  });

  test('adds the marks of a letter in order, and does not return marks as letters', async () => {
    const { topic, producer, writer } = await openLetters();
    const marks = createMarkWriter(producer);
    const other = { ...LETTER, id: 'other' };
    await writer.write(LETTER);
    await writer.write(other);
    const replayed = { by: 'ann', why: 'card – renewed', at: 1_700_000_000_001 };
    await marks.mark(LETTER, { kind: 'replayed', runId: 'run-2', ...replayed });
    await marks.mark(LETTER, { kind: 'discarded', by: 'bob', why: 'paid', at: 2 });
    const read = await readDeadLetters(log.kafka(), topic, { max: 1 });
    expect(read).toEqual([
      {
        ...LETTER,
        partition: 0,
        offset: '0',
        marks: [
          { kind: 'replayed', letterId: LETTER.id, runId: 'run-2', ...replayed },
          { kind: 'discarded', letterId: LETTER.id, by: 'bob', why: 'paid', at: 2 },
        ],
      },
    ]);
    const all = await readDeadLetters(log.kafka(), topic);
    expect(all.map(({ id, marks: made }) => [id, made?.length])).toEqual([
      [LETTER.id, 2],
      ['other', undefined],
    ]);
  });

  test('returns a record with an unknown mark as a letter', async () => {
    const { topic, producer } = await openLetters();
    const headers = { mark: 'eaten', 'mark-of': 'x' };
    await producer.append({ key: 'x', value: Buffer.from('by hand'), headers });
    await expect(readDeadLetters(log.kafka(), topic)).resolves.toHaveLength(1);
  });

  test('returns records that the engine did not write', async () => {
    const { topic, producer } = await openLetters();
    await producer.append({ key: 'x', value: Buffer.from('by hand') });
    const [letter] = await readDeadLetters(log.kafka(), topic);
    expect(letter).toMatchObject({ id: `${topic}:0:0`, reason: 'invalid-record' });
    expect(letter?.value.toString()).toBe('by hand');
  });

  test('writes a letter for a record of the default maximum size', async () => {
    const { topic, writer } = await openLetters();
    const value = Buffer.alloc(1_048_000, 7);
    await writer.write({ ...LETTER, value });
    const [letter] = await readDeadLetters(log.kafka(), topic);
    expect(letter?.value.equals(value)).toBe(true);
  });

  test('leaves no consumer group behind', async () => {
    const { topic, writer } = await openLetters();
    await writer.write(LETTER);
    await readDeadLetters(log.kafka(), topic);
    const { groups } = await withAdmin(log.kafka(), (admin) => admin.listGroups());
    expect(groups.filter(({ groupId }) => groupId.startsWith(topic))).toEqual([]);
  });
});
