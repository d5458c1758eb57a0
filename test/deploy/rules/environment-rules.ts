import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  loadApiConfig,
  loadArchiverConfig,
  loadIngestConfig,
  loadSetupConfig,
  loadSimulatorConfig,
  loadWorkerConfig,
  type Env,
} from '../../../platform/config';
import type { ComposeFile, Manifest } from './files';
import { withDefaults } from './files';
import { containers, programOf } from './workloads';

/** Which program reads which configuration. */
const LOADERS: Record<string, (env: Env) => unknown> = {
  'dist/api/main.js': loadApiConfig,
  'dist/ingest/main.js': loadIngestConfig,
  'dist/worker/main.js': loadWorkerConfig,
  'dist/archiver/main.js': loadArchiverConfig,
  'dist/engine/payments/simulator/main.js': loadSimulatorConfig,
  'dist/setup/main.js': loadSetupConfig,
};

/** The environment of a container: what is meant for it alone, and what it shares with the other processes. */
interface Environment {
  readonly name: string;
  readonly program: string;
  readonly own: Record<string, string>;
  readonly shared?: Record<string, string>;
}

/**
 * Runs the real loader of each container's program on its environment: what the loader finds wrong or missing, and what
 * it never looks at. A variable that is shared must be read by one of them.
 */
export function environmentFaults(environments: readonly Environment[]): string[] {
  const read = new Set<string>();
  const faults = environments.flatMap(({ name, program, own, shared = {} }) => {
    const load = LOADERS[program];
    if (!load) return [`${name} runs ${program}, which has no configuration`];
    const seen = new Set<string>();
    const problems = withFiles({ ...shared, ...own }, (env) => {
      try {
        load(watched(env, seen));
        return [];
      } catch (error) {
        return [`${name}: ${error instanceof Error ? error.message : String(error)}`];
      }
    });
    for (const variable of seen) read.add(variable);
    const unknown = Object.keys(own).filter((variable) => !seen.has(variable));
    return [...problems, ...unknown.map((variable) => `${name} does not know ${variable}`)];
  });
  const unread = new Set(
    environments.flatMap(({ shared = {} }) => Object.keys(shared)).filter((v) => !read.has(v)),
  );
  return [...faults, ...[...unread].map((variable) => `no process knows ${variable}`)];
}

/** Said by the place where a process runs, and not by whoever starts the project. */
const SAID_BY_PLACE =
  /^(REDIS|KAFKA|TEMPORAL|DATABASE)_|_FILE$|^(HOST|PORT|PAYMENT_URL|ENGINE_MODE|FAILPOINTS|ORDERS_TOPIC|DLQ_TOPIC|CANCELLATIONS_TOPIC|OPERATOR_ACTIONS_TOPIC|ORDER_EVENTS_TOPIC|CONSUMER_GROUP|ARCHIVER_GROUP|TASK_QUEUE)$/;

/** What a process reads of the variables in .env.example, and would not get from there: its container does not name it. */
export function unheardSettings(
  environments: readonly Environment[],
  example: readonly string[],
): string[] {
  return environments
    .filter(({ program }) => !program.startsWith('dist/setup/'))
    .flatMap(({ name, program, own }) => {
      const seen = new Set<string>();
      LOADERS[program]?.(watched(own, seen));
      return example
        .filter((variable) => seen.has(variable) && !(variable in own))
        .filter((variable) => !SAID_BY_PLACE.test(variable))
        .map((variable) => `${name} does not hear of ${variable}`);
    });
}

export function composeEnvironments({ services }: ComposeFile): Environment[] {
  return Object.entries(services).flatMap(([name, { command = [], environment = {}, build }]) => {
    const program = programOf(command);
    if (!build || program === undefined) return [];
    const entries = Object.entries(environment);
    return [
      { name, program, own: Object.fromEntries(entries.map(([k, v]) => [k, withDefaults(v)])) },
    ];
  });
}

export function manifestEnvironments(manifests: readonly Manifest[]): Environment[] {
  const maps = new Map(
    manifests
      .filter(({ kind }) => kind === 'ConfigMap')
      .map(({ metadata, data }) => [metadata.name, data]),
  );
  return containers(manifests).flatMap(({ container }) => {
    const program = programOf(container.command);
    if (program === undefined) return [];
    const own = Object.fromEntries(
      (container.env ?? []).map(({ name, value = '' }) => [name, value]),
    );
    const shared = (container.envFrom ?? []).map(
      ({ configMapRef }) => maps.get(configMapRef?.name ?? '') ?? { MISSING_CONFIG_MAP: 'yes' },
    );
    return [
      {
        name: container.name,
        program,
        own,
        shared: Object.assign({}, ...shared) as Environment['own'],
      },
    ];
  });
}

/** The environment with a note of every name that is asked for. */
function watched(env: Env, seen: Set<string>): Env {
  return new Proxy(env, {
    get: (target, name) => {
      seen.add(String(name));
      return Reflect.get(target, name) as string | undefined;
    },
  });
}

/** Of files whose content has a form. */
const CONTENTS: Readonly<Record<string, string>> = {
  DATABASE_URL_FILE: 'postgres://engine:secret@postgres.test/archive',
  STRIPE_SECRET_KEY_FILE: 'rk_live_1',
  STRIPE_WEBHOOK_SECRET_FILE: 'whsec_1',
};

/** Files that are mounted in a container are there while `use` runs, in a folder of this machine. */
function withFiles<T>(env: Record<string, string>, use: (env: Env) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'flash-sale-secrets-'));
  try {
    const placed = Object.entries(env).map(([name, value]) => {
      if (!value.startsWith('/secrets/')) return [name, value];
      const file = join(folder, value.replaceAll('/', '-'));
      const content = CONTENTS[name] ?? `the content of ${basename(value)}`;
      writeFileSync(file, `${content}\n`);
      return [name, file];
    });
    return use(Object.fromEntries(placed) as Env);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
