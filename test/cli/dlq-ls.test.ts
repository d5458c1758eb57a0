import { dlqLs, type DlqLsOptions } from '../../cli/commands/dlq-ls';
import type { StoredDeadLetter } from '../../orderlog/dead-letters';
import { textTerminal } from './text-terminal';

function aLetter(fields: Partial<StoredDeadLetter> = {}): StoredDeadLetter {
  return {
    id: 'req-1:run-1',
    requestId: 'req-1',
    itemId: '101',
    reason: 'payment-declined',
    error: 'card_declined',
    generation: 1,
    at: Date.UTC(2026, 10, 24, 10),
    value: Buffer.from('{}'),
    partition: 0,
    offset: '7',
    ...fields,
  };
}

async function show(letters: StoredDeadLetter[], options: Partial<DlqLsOptions> = {}) {
  const terminal = textTerminal();
  const deps = { terminal, readLetters: () => Promise.resolve(letters) };
  expect(await dlqLs(deps, { max: 50, ...options })).toBe(0);
  return terminal.written();
}

const at = (second: number) => Date.UTC(2026, 10, 24, 10, 0, second);

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
