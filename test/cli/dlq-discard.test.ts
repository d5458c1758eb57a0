import { dlqDiscard } from '../../cli/dlq';
import type { DeadLetterMark } from '../../engine/orders/dead-letter';
import { createLetters } from '../../engine/dead-letters/read-letters';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import { aFailedOrder, anUnreadable, at, marked } from './letters';
import { anOperator, type Acted } from './an-operator';
import { textTerminal } from './text-terminal';

async function discard(letters: StoredDeadLetter[], ids: string[], why?: string) {
  const marks: DeadLetterMark[] = [];
  const actions: Acted[] = [];
  const terminal = textTerminal();
  const mark = ({ id }: { id: string }, made: Omit<DeadLetterMark, 'letterId'>) => {
    marks.push({ letterId: id, ...made });
    return Promise.resolve();
  };
  const end = await dlqDiscard(
    {
      terminal,
      ...anOperator(actions),
      now: () => at(40),
      readLetters: () => Promise.resolve(createLetters({ memory: letters })),
      withMarks: (use) => use({ mark }),
    },
    { ids, why, json: true },
  ).catch((error: unknown) => error);
  return { end, marks, actions, text: terminal.written() };
}

test('marks letters with who, why and when', async () => {
  const letters = [aFailedOrder('a'), anUnreadable()];
  const { end, marks, actions, text } = await discard(
    letters,
    ['a', 'orders:3:17'],
    'paid in the shop',
  );
  expect(actions).toMatchObject([
    {
      action: 'dead-letters.discard',
      why: 'paid in the shop',
      outcome: 'done',
      after: { letters: [{ outcome: 'discarded' }, {}] },
    },
  ]);
  expect(end).toBe(0);
  const mark = { kind: 'discarded', by: 'ann', why: 'paid in the shop', at: at(40) };
  expect(marks).toEqual([
    { letterId: 'a:a-run', ...mark },
    { letterId: 'orders:3:17', ...mark },
  ]);
  expect(JSON.parse(text)).toMatchObject([
    { letter_id: 'a:a-run', outcome: 'discarded' },
    { letter_id: 'orders:3:17', outcome: 'discarded' },
  ]);
});

test('leaves a letter alone that has been dealt with, and marks one that is named twice once', async () => {
  const letters = [marked(aFailedOrder('a'), 'replayed'), aFailedOrder('b')];
  const { end, marks, text } = await discard(letters, ['a', 'b', 'b:b-run'], 'paid');
  expect([end, marks.map(({ letterId }) => letterId)]).toEqual([0, ['b:b-run']]);
  expect(JSON.parse(text)).toMatchObject([{ outcome: 'dealt-with-before' }, {}]);
});

const two = [aFailedOrder('a', { id: 'a:1' }), aFailedOrder('a', { id: 'a:2', at: at(1) })];
test.each([
  ['an unknown id', ['b', 'nobody'], 'paid', /No dead letter has .* nobody/],
  [
    'a request_id of several open letters',
    ['b', 'a'],
    'paid',
    /2 open dead letters\. .*: a:1, a:2/,
  ],
  ['no reason', ['b'], undefined, /--why/],
])('marks nothing, and says so in one sentence, for %s', async (_name, ids, why, sentence) => {
  const { end, marks } = await discard([...two, aFailedOrder('b')], ids, why);
  expect(end).toBeInstanceOf(Error);
  expect((end as Error).message).toMatch(sentence);
  expect(marks).toEqual([]);
});
