import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { operatorAdd, operatorList, operatorRemove } from '../../cli/operators';
import { readCredentials } from '../../engine/operators/credential-file';
import { findCredential } from '../../engine/operators/credentials';
import { useTemporaryFolder } from '../support/temporary-folder';
import { textTerminal } from './text-terminal';

const folder = useTemporaryFolder();
let file: string;
beforeEach(() => {
  file = join(folder(), 'operators.json');
});

interface Added {
  readonly id: string;
  readonly token: string;
}

async function add(name: string, role: 'read' | 'operate' = 'operate'): Promise<Added> {
  const terminal = textTerminal();
  expect(await operatorAdd({ terminal, file }, { name, role, json: true })).toBe(0);
  return JSON.parse(terminal.written()) as Added;
}

const remove = (which: string, all = false) =>
  operatorRemove({ terminal: textTerminal(), file }, { which, all });

test('operator add prints a token that opens the door, and keeps only its hash', async () => {
  const { token } = await add('ann', 'read');
  const found = findCredential(await readCredentials(file), token);
  expect(found).toMatchObject({ name: 'ann', role: 'read' });
  expect(readFileSync(file, 'utf8')).not.toContain(token);
  const terminal = textTerminal();
  await operatorAdd({ terminal, file }, { name: 'bob', role: 'operate' });
  expect(terminal.written()).toMatch(/^added {2}bob \(operate\), id \w+.*\ntoken {2}[\w-]{43}\n/);
});

test('operator remove takes an id, or a name that has only one credential', async () => {
  const [first, second, bob] = [await add('ann'), await add('ann'), await add('bob')];
  const ids = async () => (await readCredentials(file)).map(({ id }) => id);
  await expect(remove('ann')).rejects.toMatchObject({
    exitCode: 1,
    message: `ann has several: name one of ${first.id}, ${second.id}, or use --all. None was removed.`,
  });
  expect(await ids()).toEqual([first.id, second.id, bob.id]);
  await remove(first.id);
  await remove('ann');
  expect(await ids()).toEqual([bob.id]);
  await expect(remove('ann')).rejects.toMatchObject({ exitCode: 1 });
  await add('bob');
  await remove('bob', true);
  expect(await ids()).toEqual([]);
});

test('operator list shows names and roles, and no hash', async () => {
  const { id } = await add('ann', 'read');
  const [stored] = await readCredentials(file);
  const terminal = textTerminal();
  expect(await operatorList({ terminal, file }, {})).toBe(0);
  expect(terminal.written()).toMatch(new RegExp(`${id}.*ann.*read`));
  const json = textTerminal();
  await operatorList({ terminal: json, file }, { json: true });
  expect(JSON.parse(json.written())).toMatchObject([{ id, name: 'ann', role: 'read' }]);
  expect(terminal.written() + json.written()).not.toContain(stored?.sha256);
});

test('operator list of a file that is not there is wrong usage', async () => {
  const listed = operatorList({ terminal: textTerminal(), file }, {});
  await expect(listed).rejects.toMatchObject({ exitCode: 2 });
});
