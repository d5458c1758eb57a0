import { archiveLs, archiveRetry } from '../../cli/archive';
import { anOperator, type Acted } from './an-operator';
import { textTerminal } from './text-terminal';

const RECORD = { topic: 'orders-dlq', partition: 0, offset: '7', problem: 'a NUL\u001b' };

test('archive ls shows where a record is and what is wrong with it', async () => {
  const terminal = textTerminal();
  const list = () => Promise.resolve([{ ...RECORD, at: new Date(0), size: 12 }]);
  expect(await archiveLs({ terminal, list }, { max: 5 })).toBe(0);
  for (const part of ['orders-dlq:0:7', 'a NUL\\u001b', '12', '1970-01-01']) {
    expect(terminal.written()).toContain(part);
  }
});

test('archive ls says that there is none', async () => {
  const terminal = textTerminal();
  await archiveLs({ terminal, list: () => Promise.resolve([]) }, { max: 5 });
  expect(terminal.written()).toBe('Every record is archived.\n');
});

test.each([
  [[], 0],
  [[RECORD], 1],
])('archive retry is recorded, and says what is left: %j', async (left, code) => {
  const actions: Acted[] = [];
  const terminal = textTerminal();
  const retry = () => Promise.resolve({ archived: 2, left });
  const deps = { terminal, ...anOperator(actions), retry };
  expect(await archiveRetry(deps, { why: 'mended' })).toBe(code);
  expect(terminal.written()).toContain(`2 records are archived, ${left.length} still cannot be`);
  expect(actions).toMatchObject([
    {
      action: 'archive.retry',
      why: 'mended',
      outcome: 'done',
      after: { archived: 2, left: left.length },
    },
  ]);
});

test('archive retry needs a reason', async () => {
  const deps = {
    terminal: textTerminal(),
    ...anOperator([]),
    retry: () => Promise.reject(new Error()),
  };
  await expect(archiveRetry(deps, {})).rejects.toThrow(/Say why/);
});
