import { eraseUser } from '../../cli/users';
import { textTerminal } from './text-terminal';

const ERASED = {
  replaced_by: 'sub-erased',
  orders: 2,
  dead_letters: 1,
  set_aside: 0,
  not_reached: ['Redis: some'],
};

function world() {
  const asked: unknown[] = [];
  const terminal = textTerminal();
  const gateway = {
    eraseUser: (body: unknown) => {
      asked.push(body);
      return Promise.resolve(ERASED);
    },
  };
  return { asked, terminal, deps: { gateway, terminal } };
}

test('users erase says what was erased and what was not reached', async () => {
  const { asked, terminal, deps } = world();
  expect(await eraseUser(deps, { userId: 'u-7', why: ' erasure 17 ', by: 'ann' })).toBe(0);
  expect(asked).toEqual([{ user_id: 'u-7', why: 'erasure 17', by: 'ann' }]);
  for (const part of ["2 orders are sub-erased's", '1 dead letters', '- Redis: some']) {
    expect(terminal.written()).toContain(part);
  }
});

test('users erase needs a reason', async () => {
  const { asked, deps } = world();
  await expect(eraseUser(deps, { userId: 'u-7' })).rejects.toThrow(/Say why/);
  expect(asked).toEqual([]);
});
