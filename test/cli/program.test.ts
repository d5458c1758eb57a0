import { runCommandLine, type Actions } from '../../cli/program';
import { OperatorError } from '../../engine/dead-letters/operator';
import type { ExitCode } from '../../cli/terminal';
import { textTerminal } from './text-terminal';
import { UserError } from '../../platform/user-error';

/** Actions that remember how they were called and answer 0. */
function recordedActions(replaced: Partial<Record<string, Action>>) {
  const calls: [string, unknown][] = [];
  const record = (name: string): Action =>
    replaced[name] ??
    ((options) => {
      calls.push([name, options]);
      return Promise.resolve(0);
    });
  const actions: Actions = {
    doctor: { doctor: record('doctor') },
    orders: { buy: record('buy'), order: record('order'), cancel: record('cancel') },
    refund: { refund: record('refund') },
    orderSearch: { search: record('orders search'), export: record('orders export') },
    users: { erase: record('users erase') },
    token: { token: record('token') },
    stock: {
      show: record('stock show'),
      restock: record('restock'),
      saleSet: record('sale set'),
      saleClear: record('sale clear'),
    },
    ledger: {
      audit: record('stock audit'),
      rebuild: record('stock rebuild'),
      open: record('stock open'),
    },
    dlq: {
      ls: record('dlq ls'),
      show: record('dlq show'),
      stats: record('dlq stats'),
      replay: record('dlq replay'),
      discard: record('dlq discard'),
    },
    item: { close: record('item close'), retire: record('item retire') },
    selling: { stopAll: record('sale stop-all'), resumeAll: record('sale resume-all') },
    operators: {
      add: record('operator add'),
      remove: record('operator remove'),
      list: record('operator list'),
    },
    archive: { ls: record('archive ls'), retry: record('archive retry') },
    report: { report: record('report') },
    events: { events: record('events') },
    auditLog: { auditLog: record('audit-log') },
    scenarios: { scenarios: record('scenarios') },
  };
  return { actions, calls };
}

type Action = (options: unknown) => Promise<ExitCode>;

async function run(line: string, replaced: Partial<Record<string, Action>> = {}) {
  const { actions, calls } = recordedActions(replaced);
  const terminal = textTerminal();
  const code = await runCommandLine(line.split(' '), actions, terminal);
  return { code, calls, out: terminal.written(), err: terminal.faults() };
}

test.each([
  ['doctor --json', 'doctor', { json: true }],
  ['buy --item 101 --user u1', 'buy', { item: '101', user: 'u1', amount: 1 }],
  [
    'buy --item 101 --user u1 --amount 3 --request-id r --wait --url http://x',
    'buy',
    { item: '101', user: 'u1', amount: 3, requestId: 'r', wait: true, url: 'http://x' },
  ],
  ['order req-1', 'order', { requestId: 'req-1' }],
  ['cancel req-1 --user u1', 'cancel', { requestId: 'req-1', user: 'u1' }],
  ['archive ls', 'archive ls', { max: 50 }],
  ['archive retry --why mended', 'archive retry', { why: 'mended' }],
  [
    'refund req-1 --amount 2.50 --restock 1 --operation-id op-1 --why returned',
    'refund',
    { requestId: 'req-1', amount: '2.50', restock: 1, operationId: 'op-1', why: 'returned' },
  ],
  ['users erase u-7 --why gdpr', 'users erase', { userId: 'u-7', why: 'gdpr' }],
  ['token --user u1', 'token', { user: 'u1', expires: '1h' }],
  ['token --user u1 --expires 90s', 'token', { user: 'u1', expires: '90s' }],
  ['stock show 101', 'stock show', { item: '101' }],
  ['stock add 101 50', 'restock', { item: '101', units: { add: 50 } }],
  [
    'stock set 101 0 --operation-id op-1',
    'restock',
    { item: '101', units: { free: 0 }, operationId: 'op-1' },
  ],
  ['stock audit 101 --repair', 'stock audit', { item: '101', repair: true }],
  [
    'stock rebuild 101 --supply 100 --why wiped',
    'stock rebuild',
    { item: '101', supply: 100, archive: true, why: 'wiped' },
  ],
  ['stock open 101 --why unsold', 'stock open', { item: '101', why: 'unsold' }],
  ['sale show 101', 'stock show', { item: '101' }],
  [
    'sale set 101 --price 10.00 --currency EUR --limit 2 --force',
    'sale set',
    { item: '101', price: '10.00', currency: 'EUR', limit: 2, force: true },
  ],
  [
    'sale set 101 --price-minor 5 --opens 2026-11-24 --closes 2026-11-24T10:00+02:00',
    'sale set',
    {
      item: '101',
      priceMinor: 5,
      opens: Date.UTC(2026, 10, 24),
      closes: Date.UTC(2026, 10, 24, 8),
    },
  ],
  [
    'sale set 101 --pay checkout --pay-within 10m',
    'sale set',
    { item: '101', pay: 'checkout', payWithin: 600_000 },
  ],
  ['sale set 101 --pay-within 12h', 'sale set', { item: '101', payWithin: 43_200_000 }],
  ['sale clear 101', 'sale clear', { item: '101' }],
  ['dlq ls', 'dlq ls', { max: 50 }],
  ['dlq ls --max 5 --reason sold-out', 'dlq ls', { max: 5, reason: 'sold-out' }],
  [
    'dlq ls --item 101 --since 2026-11-24 --until 2026-11-24T10:00+02:00 --all',
    'dlq ls',
    {
      max: 50,
      item: '101',
      all: true,
      since: Date.UTC(2026, 10, 24),
      until: Date.UTC(2026, 10, 24, 8),
    },
  ],
  ['dlq show req-1', 'dlq show', { id: 'req-1' }],
  ['dlq stats --reason sold-out', 'dlq stats', { reason: 'sold-out' }],
  ['dlq replay --dry-run', 'dlq replay', { ids: [], dryRun: true, rate: 10 }],
  [
    'dlq replay a b --why renewed --max 3 --rate 5',
    'dlq replay',
    { ids: ['a', 'b'], why: 'renewed', max: 3, rate: 5 },
  ],
  ['dlq discard a b --why paid', 'dlq discard', { ids: ['a', 'b'], why: 'paid' }],
  [
    'stock add 101 5 --by ann --why late',
    'restock',
    { item: '101', units: { add: 5 }, by: 'ann', why: 'late' },
  ],
  ['sale clear 101 --by ann', 'sale clear', { item: '101', by: 'ann' }],
  ['stock audit 101 --repair --by ann', 'stock audit', { item: '101', repair: true, by: 'ann' }],
  ['stock open 101 --why x --by ann', 'stock open', { item: '101', why: 'x', by: 'ann' }],
  ['dlq discard a --why x --by ann', 'dlq discard', { ids: ['a'], why: 'x', by: 'ann' }],
  ['sale stop-all --why x --by ann', 'sale stop-all', { why: 'x', by: 'ann' }],
  ['sale resume-all', 'sale resume-all', {}],
  ['orders search', 'orders search', { max: 50 }],
  [
    'orders search --status repeated --payment p --until 2026-11-24 --admin-url http://x',
    'orders search',
    {
      max: 50,
      status: 'repeated',
      payment: 'p',
      until: Date.UTC(2026, 10, 24),
      adminUrl: 'http://x',
    },
  ],
  ['orders export --user u1', 'orders export', { format: 'csv', user: 'u1' }],
  [
    'orders export --format ndjson --reason sold-out',
    'orders export',
    { format: 'ndjson', reason: 'sold-out' },
  ],
  ['audit-log', 'audit-log', { max: 50 }],
  [
    'audit-log --since 2026-11-24 --item 101 --by ann --json',
    'audit-log',
    { max: 50, since: Date.UTC(2026, 10, 24), item: '101', by: 'ann', json: true },
  ],
  ['operator add ann --role read', 'operator add', { name: 'ann', role: 'read' }],
  ['operator remove ann --all', 'operator remove', { which: 'ann', all: true }],
  ['operator list --file x', 'operator list', { file: 'x' }],
  ['scenarios --url http://x', 'scenarios', { url: 'http://x' }],
])('"%s" runs %s', async (line, name, options) => {
  const { code, calls } = await run(line);
  expect(calls).toEqual([[name, options]]);
  expect(code).toBe(0);
});

test.each([
  ['bye', /unknown command 'bye'/],
  ['buy --item 101 --user u1 --colour red', /unknown option '--colour'/],
  ['buy --item 101', /--user <id>' not specified/],
  ['buy --item 101 --user u1 --amount 1.5', /whole number from 1 to 1000/],
  ['order', /missing required argument 'request_id'/],
  ['refund req-1 --restock 0', /whole number from 1 to 1000/],
  [`refund req-1 --operation-id ${'x'.repeat(49)}`, /1 to 48 letters/],
  ['cancel req-1', /required option '--user <id>'/],
  ['cancel --user u1', /missing required argument 'request_id'/],
  ['order one two', /too many arguments/],
  ['dlq ls --reason bad-luck', /Allowed choices are payment-declined/],
  ['dlq ls --since yesterday', /--since <time>.* It must be a time such as/],
  ['dlq ls --until 2026-02-31', /It must be a time such as/],
  ['dlq replay a --rate 0', /whole number from 1 to 1000/],
  ['dlq replay a --max many', /whole number from 1 to/],
  ['dlq show', /missing required argument 'id'/],
  ['dlq discard', /missing required argument 'ids'/],
  ['stock hide', /unknown command 'hide'/],
  ['stock add 101', /missing required argument 'units'/],
  ['stock add 101 0', /whole number from 1 to 1000000000/],
  ['stock add 101 -5', /unknown option '-5'|whole number/],
  ['stock add 101 1.5', /whole number from 1 to/],
  ['stock set 101 many', /whole number from 0 to/],
  ['stock add 101 1 --operation-id a|b', /letters, digits/],
  ['stock add 101 5 --why=', /1 to 500 characters/],
  ['stock add 101 5 --by=', /1 to 100 visible/],
  ['audit-log --since yesterday', /must be a time/],
  ['operator add ann', /required option '--role <role>'/],
  ['operator add ann --role admin', /Allowed choices are read, operate/],
  ['operator add {x} --role read', /letters, digits/],
  ['sale set', /missing required argument 'item'/],
  ['sale set 101 --limit 0', /whole number from 1 to 1000/],
  ['sale set 101 --limit 2.5', /whole number from 1 to 1000/],
  ['sale set 101 --price-minor -1', /whole number|argument missing/],
  ['sale set 101 --currency dollars', /must be a currency of ISO 4217/],
  ['sale set 101 --currency XYZ', /must be a currency of ISO 4217/],
  ['sale set 101 --opens tomorrow', /must be a time such as/],
  ['sale set 101 --closes 2026-02-31', /must be a time such as/],
  ['sale set 101 --pay cash', /Allowed choices are charge, checkout/],
  ...['4s', '13h', '43201s', '10', '1d', '1.5m', '0m'].map((time): [string, RegExp] => [
    `sale set 101 --pay checkout --pay-within ${time}`,
    /must be a time from 5s to 12h/,
  ]),
])('"%s" is wrong usage: a hint, exit code 2, nothing on standard output', async (line, hint) => {
  const { code, calls, out, err } = await run(line);
  expect([code, calls, out]).toEqual([2, [], '']);
  expect(err).toMatch(hint);
  expect(err).toContain('--help');
});

test.each([
  ...['doctor', 'buy', 'order', 'cancel', 'refund', 'stock show', 'scenarios', 'audit-log'],
  ...[
    'stock add',
    'stock set',
    'stock audit',
    'stock rebuild',
    'stock open',
    'sale show',
    'sale set',
    'sale clear',
    'sale stop-all',
    'sale resume-all',
  ],
  ...['operator add', 'operator remove', 'operator list'],
  ...['dlq ls', 'dlq show', 'dlq stats', 'dlq replay', 'dlq discard'],
])('"%s --help" explains --json and gives an example', async (name) => {
  const { code, out } = await run(`${name} --help`);
  expect(code).toBe(0);
  expect(out).toContain('--json');
  expect(out).toContain(`$ npx flash-sale ${name}`);
});

test('a command alone decides the exit code', async () => {
  const { code } = await run('order req-1', { order: () => Promise.resolve(1) });
  expect(code).toBe(1);
});

test('a plain fault is one sentence on standard error and exit code 2', async () => {
  const doctor = () => Promise.reject(new UserError('Nobody is there.'));
  const { code, out, err } = await run('doctor', { doctor });
  expect([code, out, err]).toEqual([2, '', 'Nobody is there.\n']);
});

test.each([
  ['dealt-with', 1, 'No. With --all it is replayed all the same.'],
  ['unknown-letter', 1, 'No.'],
  ['several-letters', 1, 'No.'],
  ['invalid', 2, 'No.'],
  ['unavailable', 2, 'No. (out of reach): is the stack running? (npm start)'],
] as const)('what the dead letters refuse as %s is told with what to do', async (kind, ...told) => {
  const cause = new Error('out of reach');
  const dlqShow = () => Promise.reject(new OperatorError(kind, 'No.', { cause }));
  const { code, out, err } = await run('dlq show a', { 'dlq show': dlqShow });
  expect([code, err.trim(), out]).toEqual([...told, '']);
});

test('a bug shows its stack and exits 2', async () => {
  const doctor = () => Promise.reject(new TypeError('x is not a function'));
  const { code, err } = await run('doctor', { doctor });
  expect(code).toBe(2);
  expect(err).toMatch(/Unexpected error: x is not a function[^]*program\.test\.ts/);
});

test('what was typed wrong is quoted without its terminal escapes', async () => {
  const { err } = await run('\u001b[2Jdoctor');
  expect(err).not.toContain('\u001b');
});
