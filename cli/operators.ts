import { InvalidArgumentError, Option, type Command } from 'commander';
import { changeCredentials, readCredentials } from '../engine/operators/credential-file';
import {
  createCredential,
  OPERATOR_NAME,
  ROLES,
  type Credential,
  type Role,
} from '../engine/operators/credentials';
import { addCommand, refused, type CommonOptions, type End } from './command';
import type { Context } from './context';
import { paint, plain, printResult, table, type ExitCode, type Terminal } from './terminal';

/** Adds `add`, `remove` and `list` to the command `operator`. */
export function addOperatorCommands(operator: Command, actions: OperatorActions, end: End): void {
  const addOne = (usage: string, description: string, example: string) =>
    addCommand(operator, usage, description, example).option(
      '--file <path>',
      "the operators' file (default: OPERATORS_FILE, else that of the local stack)",
    );
  addOne(
    'add',
    'Add a credential and print its token, once',
    'flash-sale operator add ann --role operate',
  )
    .argument('<name>', 'the operator', operatorName)
    .addOption(
      new Option('--role <role>', 'read: GET routes; operate: every route')
        .choices(ROLES)
        .makeOptionMandatory(),
    )
    .action((name: string, options: Omit<AddOptions, 'name'>) =>
      end(actions.add({ ...options, name })),
    );
  addOne(
    'remove <id-or-name>',
    'Remove a credential by its id, or by a name that has only one',
    'flash-sale operator remove ann',
  )
    .option('--all', 'every credential of the name')
    .action((which: string, options: Omit<RemoveOptions, 'which'>) =>
      end(actions.remove({ ...options, which })),
    );
  addOne('list', 'The credentials, without their tokens', 'flash-sale operator list').action(
    (options: FileOptions) => end(actions.list(options)),
  );
}

function operatorName(text: string): string {
  if (OPERATOR_NAME.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 64 letters, digits or . _ @ + -');
}

/** On the file that the gateways read. */
export const operatorActions = ({ terminal, operatorsFile }: Context) => {
  const deps = ({ file }: FileOptions) => ({ terminal, file: file ?? operatorsFile() });
  return {
    add: (options: AddOptions) => operatorAdd(deps(options), options),
    remove: (options: RemoveOptions) => operatorRemove(deps(options), options),
    list: (options: FileOptions) => operatorList(deps(options), options),
  };
};

type OperatorActions = ReturnType<typeof operatorActions>;

interface Deps {
  readonly terminal: Terminal;
  readonly file: string;
}

interface FileOptions extends CommonOptions {
  readonly file?: string | undefined;
}

interface AddOptions extends FileOptions {
  readonly name: string;
  readonly role: Role;
}

/** `flash-sale operator add`: a further credential of the name, so that the one in use can be replaced without a gap. */
export async function operatorAdd(
  { terminal, file }: Deps,
  options: AddOptions,
): Promise<ExitCode> {
  const { name, role } = options;
  const { credential, token } = createCredential(name, role, Date.now());
  const added = await changeCredentials(file, (credentials) => [...credentials, credential]);
  const text = [
    `${paint(terminal, 'green', 'added')}  ${name} (${role}), id ${credential.id}, in ${plain(file)}`,
    `token  ${token}`,
    'It is not shown again. A gateway that reads this file accepts it within a second.',
    '',
  ].join('\n');
  printResult(terminal, options, { id: credential.id, name, role, file, token }, text);
  if (added.warning !== undefined) terminal.err(`${plain(added.warning)}\n`);
  return 0;
}

interface RemoveOptions extends FileOptions {
  /** An id or a name. */
  readonly which: string;
  readonly all?: boolean | undefined;
}

/** `flash-sale operator remove`: throws a UserError for a name with several credentials, unless `all`. */
export async function operatorRemove(
  { terminal, file }: Deps,
  options: RemoveOptions,
): Promise<ExitCode> {
  const { which, all = false } = options;
  let removed: readonly Credential[] = [];
  await changeCredentials(file, (credentials) => {
    removed = credentials.filter(({ id, name }) => id === which || name === which);
    const names = removed.map(({ id }) => id).join(', ');
    if (removed.length === 0) throw refused(`${file} has no credential ${which}.`);
    if (removed.length > 1 && !all) {
      throw refused(`${which} has several: name one of ${names}, or use --all. None was removed.`);
    }
    return credentials.filter((credential) => !removed.includes(credential));
  });
  const lines = removed.map(({ id, name, role }) => `removed  ${name} (${role}), id ${id}\n`);
  printResult(terminal, options, removed.map(credentialJson), lines.join(''));
  return 0;
}

/** `flash-sale operator list`: always 0 when the file can be read. */
export async function operatorList(
  { terminal, file }: Deps,
  options: FileOptions,
): Promise<ExitCode> {
  const credentials = await readCredentials(file);
  const rows = credentials.map(({ id, name, role, added_at }) => [id, name, role, added_at]);
  const text =
    rows.length === 0
      ? `No credentials in ${plain(file)}.\n`
      : table(terminal, rows, ['id', 'name', 'role', 'added']);
  printResult(terminal, options, credentials.map(credentialJson), text);
  return 0;
}

/** Without the hash, which nobody needs to see. */
function credentialJson({ id, name, role, added_at }: Credential) {
  return { id, name, role, added_at };
}
