import { itemRetire } from '../../cli/item';
import type { Retirement } from '../../engine/archive/retire-item';
import { anOperator, type Acted } from './an-operator';
import { textTerminal } from './text-terminal';

function retiring(result: Retirement) {
  const actions: Acted[] = [];
  const terminal = textTerminal();
  const deps = { terminal, ...anOperator(actions), retire: () => Promise.resolve(result) };
  return { terminal, actions, run: (why?: string) => itemRetire(deps, { item: '101', why }) };
}

test('item retire is recorded', async () => {
  const { run, terminal, actions } = retiring({ kind: 'retired' });
  expect(await run('it is over')).toBe(0);
  expect(terminal.written()).toContain('Item 101 is retired');
  expect(actions).toMatchObject([
    { action: 'item.retire', itemId: '101', why: 'it is over', outcome: 'done' },
  ]);
});

test.each<[Retirement, RegExp]>([
  [{ kind: 'unknown-item' }, /Nothing is sold under 101/],
  [{ kind: 'on-sale' }, /flash-sale item close 101/],
  [{ kind: 'under-way', units: 3 }, /3 units .* wait until/],
  [{ kind: 'entries', orders: 2 }, /2 orders .* not in the archive/],
  [{ kind: 'changes', number: 1 }, /1 changes .* does the archiver run/],
  [{ kind: 'lost' }, /flash-sale stock rebuild 101/],
  [{ kind: 'unreadable', detail: 'the stock is "x"' }, /the stock is "x"/],
])('item retire says what is missing: %j', async (result, text) => {
  const { run, actions } = retiring(result);
  await expect(run('it is over')).rejects.toThrow(text);
  expect(actions).toMatchObject([{ outcome: 'refused', detail: result.kind }]);
});

test('item retire needs a reason', async () => {
  await expect(retiring({ kind: 'retired' }).run()).rejects.toThrow(/Say why/);
});
