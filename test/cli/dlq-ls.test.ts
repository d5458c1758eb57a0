import { dlqLs, type ListOptions } from '../../cli/dlq';
import { createLetters } from '../../engine/dead-letters/read-letters';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import { aLetter, at, marked } from './letters';
import { textTerminal } from './text-terminal';

async function show(letters: StoredDeadLetter[], options: Partial<ListOptions> = {}) {
  const terminal = textTerminal();
  const deps = { terminal, readLetters: () => Promise.resolve(createLetters({ memory: letters })) };
  expect(await dlqLs(deps, { max: 50, ...options })).toBe(0);
  return terminal.written();
}

test('shows time, request, reason, generation, item and error', async () => {
  const text = await show([aLetter()]);
  for (const part of ['2026-11-24T10:00:00.000Z', 'req-1', 'payment-declined', '101', 'card_']) {
    expect(text).toContain(part);
  }
});

test('shows the newest last, and of too many only the newest', async () => {
  const letters = [3, 1, 2].map((second) =>
    aLetter({ requestId: `req-${second}`, at: at(second) }),
  );
  const text = await show(letters, { max: 2 });
  expect(text).not.toContain('req-1');
  expect(text.indexOf('req-3')).toBeGreaterThan(text.indexOf('req-2'));
  expect(text).toContain('The newest 2 of 3');
});

test('shows only the reason that was asked for', async () => {
  const letters = [aLetter(), aLetter({ requestId: 'req-2', reason: 'sold-out' })];
  const text = await show(letters, { reason: 'sold-out' });
  expect(text).toContain('req-2');
  expect(text).not.toContain('req-1');
});

test('shows only the item and the time that were asked for, both ends included', async () => {
  const letters = [1, 2, 3, 4].map((second) =>
    aLetter({ requestId: `req-${second}`, at: at(second), itemId: second === 3 ? '202' : '101' }),
  );
  const untimed = aLetter({ requestId: 'req-untimed', at: 0 });
  const shown = async (options: Partial<ListOptions>) => {
    const text = await show([...letters, untimed], { ...options, json: true });
    return (JSON.parse(text) as { request_id: string }[]).map(({ request_id: id }) => id);
  };
  expect(await shown({ since: at(2), until: at(4) })).toEqual(['req-2', 'req-3', 'req-4']);
  expect(await shown({ item: '202' })).toEqual(['req-3']);
  await expect(show(letters, { since: at(3), until: at(2) })).rejects.toThrow(/since is later/);
});

test('leaves out what has been dealt with, unless it is asked for all', async () => {
  const letters = [
    aLetter({ requestId: 'req-open' }),
    marked(aLetter({ requestId: 'req-gone' }), 'discarded'),
    marked(aLetter({ requestId: 'req-again' }), 'replayed'),
  ];
  const text = await show(letters);
  expect(text).toContain('req-open');
  expect(text).not.toMatch(/req-gone|req-again/);
  const all = await show(letters, { all: true });
  for (const part of ['req-open', 'req-gone', 'discarded', 'replayed']) expect(all).toContain(part);
});

test('says that there are none', async () => {
  expect(await show([])).toBe('No dead letters.\n');
});

test('with --json prints whole errors, and null for what a letter does not say', async () => {
  const error = 'x'.repeat(500);
  const { id, reason, generation, value, partition, offset } = aLetter();
  const nameless = { id, reason, generation, value, partition, offset, error, at: 0 };
  const [document] = JSON.parse(await show([nameless], { json: true })) as unknown[];
  expect(document).toMatchObject({ error, request_id: null, at: null, offset: '7' });
});

test('a letter of another hand cannot steer the terminal', async () => {
  const text = await show([aLetter({ requestId: '\u001b[31mred', error: 'a\nb', at: 1e300 })]);
  expect(text).not.toContain('\u001b');
  expect(text).toContain('a\\u000ab');
});

test('says on standard error what may be missing, also beside a document', async () => {
  const terminal = textTerminal();
  const letters = createLetters({ memory: [], warnings: ['Old ones\u001b are missing.'] });
  const deps = { terminal, readLetters: () => Promise.resolve(letters) };
  await dlqLs(deps, { max: 50, json: true });
  expect(JSON.parse(terminal.written())).toEqual([]);
  expect(terminal.faults()).toBe('Old ones\\u001b are missing.\n');
});
