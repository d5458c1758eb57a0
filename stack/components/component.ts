import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../../platform/config';
import { until } from '../../platform/until';
import { UserError, describeError } from '../../platform/user-error';
import type { Report } from '../report';
import type { StackSettings } from '../settings';
import type { SupervisedProgram } from '../supervisor';

/** A system that the engine uses: Redis, Kafka, Temporal or PostgreSQL. */
export interface Component {
  /** host:port; for Kafka perhaps several, comma-separated. */
  readonly address: string;
  /** Where it comes from, for people. */
  readonly origin: string;
}

/** What every component is started with. */
export interface Context {
  readonly settings: StackSettings;
  readonly report: Report;
  /** Aborted when the start is to be abandoned. */
  readonly signal: AbortSignal;
  /** Runs a program until the stack stops. Resolves when it is ready for the first time. */
  readonly run: (program: SupervisedProgram) => Promise<void>;
}

/** How to reach a component whose address is set. A wrong setting is a UserError. */
export function givenAccess<T>(load: (env: Env) => T, { env }: StackSettings): T {
  try {
    return load(env);
  } catch (error) {
    throw new UserError(describeError(error), { cause: error });
  }
}

/** A given component runs already: the time limit only covers a slow first connection. */
const GIVEN_MS_MAX = 10_000;

/** Throws a UserError that completes `complaint` when the component at a given address does not pass the probe. */
export async function checkGiven(
  { signal }: Context,
  complaint: string,
  probe: () => Promise<unknown>,
): Promise<void> {
  try {
    await until('no answer', probe, { withinMs: GIVEN_MS_MAX, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new UserError(`${complaint} (${describeError(error)}).`);
  }
}

const STOP_MS_MAX = 10_000;

/** Runs a component's server in a folder of its own, and waits until the probe passes. */
export async function runServer(
  { settings, run }: Context,
  {
    name,
    env = settings.env,
    ...program
  }: Pick<
    SupervisedProgram,
    'name' | 'command' | 'args' | 'probe' | 'readyMsMax' | 'stopSignal'
  > & {
    readonly env?: Env;
  },
): Promise<void> {
  await run({
    ...program,
    name,
    env,
    cwd: dataFolder(settings, name),
    logFile: join(settings.dataDir, `${name}.log`),
    startTriesMax: 1,
    stopMsMax: STOP_MS_MAX,
  });
}

/** The folder with a component's data; created where it is missing. */
export function dataFolder({ dataDir }: StackSettings, name: string): string {
  const folder = join(dataDir, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
