import { auditLog } from '../../cli/audit-log';
import type { LoggedAction } from '../../engine/operators/action-log';
import { textTerminal } from './text-terminal';

const action = (id: string, fields: Partial<LoggedAction> = {}): LoggedAction => ({
  id,
  at: '2026-11-24T10:00:00.000Z',
  action: 'stock.restock',
  item_id: '101',
  by: 'ann',
  on_behalf_of: null,
  role: null,
  credential: null,
  door: 'cli',
  http_request_id: null,
  why: 'late',
  request: {},
  outcome: 'done',
  detail: null,
  before: { free: 1 },
  after: { free: 6 },
  ...fields,
});

const ACTIONS = [
  action('1'),
  action('2', { by: 'operator', on_behalf_of: 'eve', door: 'http', item_id: null }),
  action('3', { by: 'bob', outcome: 'refused', detail: 'stale', why: null }),
  action('4', { by: 'bob', item_id: '202', outcome: 'unrecorded' }),
];

async function show(options: Partial<Parameters<typeof auditLog>[1]> = {}) {
  const terminal = textTerminal();
  const asked: unknown[] = [];
  const read = (since: number | undefined) => {
    asked.push(since);
    return Promise.resolve(ACTIONS);
  };
  expect(await auditLog({ terminal, read }, { max: 50, ...options })).toBe(0);
  return { text: terminal.written(), asked };
}

const ids = async (options: Parameters<typeof show>[0]) => {
  const { text } = await show({ ...options, json: true });
  return (JSON.parse(text) as LoggedAction[]).map(({ id }) => id);
};

test('lists who did what, for whom, why, and what was changed', async () => {
  const { text, asked } = await show({ since: 5 });
  expect(asked).toEqual([5]);
  expect(text).toMatch(
    /ann .*cli .*stock.restock .*101 .*done .*late .*\{"free":1\} → \{"free":6\}/,
  );
  expect(text).toMatch(/operator for eve .*http .* - /);
  expect(text).toMatch(/bob .*refused: stale/);
  expect(text).toMatch(/202 .*unrecorded/);
});

test('selects by item and by name, and shows the newest', async () => {
  expect(await ids({})).toEqual(['1', '2', '3', '4']);
  expect(await ids({ item: '101' })).toEqual(['1', '3']);
  expect(await ids({ by: 'bob' })).toEqual(['3', '4']);
  expect(await ids({ by: 'eve' })).toEqual(['2']);
  expect(await ids({ max: 1 })).toEqual(['4']);
  expect((await show({ max: 1 })).text).toContain('The newest 1 of 4');
  expect((await show({ by: 'nobody' })).text).toBe('No actions of operators.\n');
});
