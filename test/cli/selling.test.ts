import { resumeAll, stopAll } from '../../cli/selling';
import type { SellingChange, SellingState } from '../../engine/stock/selling-switch';
import { anOperator, type Acted } from './an-operator';
import { textTerminal } from './text-terminal';

function aSwitch() {
  const actions: Acted[] = [];
  const changes: SellingState[] = [];
  const terminal = textTerminal();
  const change = (state: SellingChange) => {
    const before = changes.at(-1);
    const after = { ...state, revision: changes.length + 1 };
    changes.push(after);
    return Promise.resolve({ before, after });
  };
  return { terminal, change, changes, actions, ...anOperator(actions) };
}

test('sale stop-all stops, and is recorded after it', async () => {
  const deps = aSwitch();
  expect(await stopAll(deps, { why: ' the price is wrong ' })).toBe(0);
  const stopped = { stopped: true, by: 'ann', why: 'the price is wrong', revision: 1 };
  expect(deps.changes).toMatchObject([stopped]);
  expect(deps.terminal.written()).toMatch(/All selling is stopped.*resume-all/);
  expect(deps.actions).toMatchObject([
    { action: 'selling.stop', why: stopped.why, outcome: 'done', before: null, after: stopped },
  ]);
});

test('sale stop-all says in --json whether there is a record', async () => {
  const deps = { ...aSwitch(), recordLate: () => Promise.resolve(false) };
  expect(await stopAll(deps, { why: 'x', json: true })).toBe(0);
  expect(JSON.parse(deps.terminal.written())).toMatchObject({ stopped: true, recorded: false });
});

test('sale stop-all needs a reason', async () => {
  const deps = aSwitch();
  await expect(stopAll(deps, {})).rejects.toThrow(/Say why/);
  expect(deps.changes).toEqual([]);
});

test('sale resume-all sells again, with the stop in its record', async () => {
  const deps = aSwitch();
  await stopAll(deps, { why: 'x' });
  expect(await resumeAll(deps, {})).toBe(0);
  expect(deps.changes[1]).toMatchObject({ stopped: false, by: 'ann' });
  expect(deps.actions[1]).toMatchObject({
    action: 'selling.resume',
    before: { stopped: true, revision: 1 },
    after: { stopped: false, revision: 2 },
  });
});
