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
  test('gives back every field of a letter, and its bytes', async () => {
    const { topic, writer } = await openLetters();
    await writer.write(LETTER);
    const read = await readDeadLetters(log.kafka(), topic);
    expect(read).toEqual([{ ...LETTER, partition: 0, offset: '0' }]);
  });

  test('leaves out what a letter does not have', async () => {
    const { topic, writer } = await openLetters();
    const { id, reason, error, generation, at, value } = LETTER;
    const bare: DeadLetter = { id, reason, error, generation, at, value };
    await writer.write(bare);
    const read = await readDeadLetters(log.kafka(), topic);
    expect(read).toEqual([{ ...bare, partition: 0, offset: '0' }]);
  });

  test('answers at once for an empty topic', async () => {
    const { topic } = await openLetters();
    await expect(readDeadLetters(log.kafka(), topic)).resolves.toEqual([]);
  });

  test('drops repeats by their id', async () => {
    const { topic, writer } = await openLetters();
    for (const id of ['a', 'b', 'a']) await writer.write({ ...LETTER, id });
    const read = await readDeadLetters(log.kafka(), topic);
    expect(read.map(({ id, offset }) => `${id}@${offset}`)).toEqual(['a@0', 'b@1']);
  });

  test('starts at an offset and ends at a number of letters', async () => {
    const { topic, writer } = await openLetters();
    for (const id of ['a', 'b', 'c', 'd']) await writer.write({ ...LETTER, id });
    const read = await readDeadLetters(log.kafka(), topic, { fromOffset: '1', max: 2 });
    expect(read.map(({ id }) => id)).toEqual(['b', 'c']);
  });

  test('gives a letter the marks that were made behind it, in order, and takes no mark for a letter', async () => {
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
        ...{ ...LETTER, partition: 0, offset: '0' },
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

  test('takes a record that is marked by a word it does not know for a letter', async () => {
    const { topic, producer } = await openLetters();
    const headers = { mark: 'eaten', 'mark-of': 'x' };
    await producer.append({ key: 'x', value: Buffer.from('by hand'), headers });
    await expect(readDeadLetters(log.kafka(), topic)).resolves.toHaveLength(1);
  });

  test('shows what another hand has put into the topic', async () => {
    const { topic, producer } = await openLetters();
    await producer.append({ key: 'x', value: Buffer.from('by hand') });
    const [letter] = await readDeadLetters(log.kafka(), topic);
    expect(letter).toMatchObject({ id: `${topic}:0:0`, reason: 'invalid-record' });
    expect(letter?.value.toString()).toBe('by hand');
  });

  test('takes a letter around a record of the largest size that a topic takes by default', async () => {
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
