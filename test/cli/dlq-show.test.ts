import { dlqShow, dlqStats } from '../../cli/dlq';
import { parseMoment } from '../../engine/dead-letters/operator';
import { OperatorError } from '../../engine/dead-letters/operator';
import { createLetters } from '../../engine/dead-letters/read-letters';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import { aFailedOrder, aLetter, anUnreadable, at, marked } from './letters';
import { textTerminal } from './text-terminal';

type Command<Options> = (deps: Parameters<typeof dlqShow>[0], options: Options) => Promise<number>;

async function run<Options>(
  command: Command<Options>,
  letters: StoredDeadLetter[],
  options: Options,
): Promise<string> {
  const terminal = textTerminal();
  const deps = { terminal, readLetters: () => Promise.resolve(createLetters({ memory: letters })) };
  expect(await command(deps, options)).toBe(0);
  return terminal.written();
}

describe('dlq show', () => {
  test('tells everything of a letter, with its original bytes and what was done about it', async () => {
    const letter = marked(aFailedOrder('a'), 'replayed', 'the card was renewed');
    const text = await run(dlqShow, [letter, aFailedOrder('b')], { id: 'a' });
    for (const part of [
      ...['a:a-run', '2026-11-24T10:00:00.000Z', '101', 'payment-declined', 'card_declined'],
      ...['a-run', 'orders:3:42', '0:7', 'bob', 'the card was renewed', '"request_id":"a"'],
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain('b:b-run');
  });

  test('finds a letter by its own id, and all of a request_id', async () => {
    const letters = [aFailedOrder('a', { id: 'a:1' }), aFailedOrder('a', { id: 'a:2', at: at(1) })];
    const idsOf = async (id: string) => {
      const text = await run(dlqShow, letters, { id, json: true });
      return (JSON.parse(text) as { id: string }[]).map((letter) => letter.id);
    };
    expect(await idsOf('a:2')).toEqual(['a:2']);
    expect(await idsOf('a')).toEqual(['a:1', 'a:2']);
    await expect(idsOf('c')).rejects.toThrow(OperatorError);
  });

  test('shows bytes that are no text in hexadecimal, and text that steers a terminal as it is spelt', async () => {
    const bytes = await run(dlqShow, [aLetter({ value: Buffer.from([0x41, 0xff, 0x1b]) })], {
      id: 'req-1',
    });
    expect(bytes).toMatch(/3 bytes:\n {2}0000 {2}41 ff 1b +A\.\.\n/);
    const steering = aLetter({ value: Buffer.from('\u001b[2Jhello\u202e') });
    const text = await run(dlqShow, [steering], { id: 'req-1' });
    expect(text).toContain('\\u001b[2Jhello\\u202e');
  });

  test('shows only the beginning of a huge record, and all of it with --json', async () => {
    const value = Buffer.alloc(100_000, 'x');
    const text = await run(dlqShow, [anUnreadable('bad', { value })], { id: 'bad' });
    expect(text.length).toBeLessThan(10_000);
    expect(text).toContain('100000 bytes');
    const json = await run(dlqShow, [anUnreadable('bad', { value })], { id: 'bad', json: true });
    const [shown] = JSON.parse(json) as { value_base64: string }[];
    expect(Buffer.from(shown?.value_base64 ?? '', 'base64').equals(value)).toBe(true);
  });
});

describe('dlq stats', () => {
  const letters = [
    aLetter({ at: at(3) }),
    aLetter({ at: at(1), itemId: '202' }),
    aLetter({ at: at(2), error: 'insufficient_funds' }),
    anUnreadable(undefined, { at: 0 }),
    marked(aLetter({ at: at(9) }), 'discarded'),
  ];

  test('counts by reason and error and by item, the most frequent first, with first and last time', async () => {
    const stats = JSON.parse(await run(dlqStats, letters, { json: true })) as unknown;
    const time = (second: number) => new Date(at(second)).toISOString();
    const once = (second: number) => ({ count: 1, first: time(second), last: time(second) });
    const never = { count: 1, first: null, last: null };
    expect(stats).toEqual({
      total: 4,
      by_failure: [
        {
          reason: 'payment-declined',
          error: 'card_declined',
          count: 2,
          first: time(1),
          last: time(3),
        },
        { reason: 'invalid-record', error: '/amount: no number', ...never },
        { reason: 'payment-declined', error: 'insufficient_funds', ...once(2) },
      ],
      by_item: [
        { item_id: '101', count: 2, first: time(2), last: time(3) },
        { item_id: null, ...never },
        { item_id: '202', ...once(1) },
      ],
    });
  });

  test('are two tables for people, narrowed by the same filters as the list', async () => {
    const text = await run(dlqStats, letters, { item: '202' });
    expect(text).toContain('card_declined');
    expect(text).not.toContain('insufficient_funds');
    expect(text).toContain('In all: 1.');
    expect(await run(dlqStats, [], {})).toBe('No dead letters.\n');
  });
});

describe('a moment', () => {
  const now = at(0);
  test.each([
    ['2026-11-24', Date.UTC(2026, 10, 24)],
    ['2026-11-24T10:00', now],
    ['2026-11-24T10:00:01.5Z', now + 1_500],
    ['2026-11-24T12:00+02:00', now],
    ['90s', now - 90_000],
    ['30m', now - 1_800_000],
    ['2h', now - 7_200_000],
    ['7d', now - 604_800_000],
  ])('is written "%s"', (text, expected) => {
    expect(parseMoment(text, now)).toBe(expected);
  });

  test.each(['', 'yesterday', '2026-02-31', '2026-13-01', '2026-11-24T25:00', '-2h', '2w', '17'])(
    'is not written "%s"',
    (text) => {
      expect(parseMoment(text, now)).toBeUndefined();
    },
  );
});
