import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import type { Env } from './config';
import { errorCode } from './user-error';

/** Where everything of the local stack listens. */
export const LOOPBACK = '127.0.0.1';

/** Whether a process listens on the port. On some systems a listener on all addresses leaves loopback bindable, so both are tried. */
export async function isTaken(port: number): Promise<boolean> {
  return (await canConnect(port)) || !(await canBind(port));
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: LOOPBACK });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, LOOPBACK, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/** How many files this process may have open at once. Takes 30 ms. */
export function openFilesMax(): number {
  const { report } = process;
  // Else it looks up the names of all who are connected.
  Object.assign(report, { excludeNetwork: true });
  const { userLimits } = report.getReport() as ProcessReport;
  const limit = userLimits?.open_files?.soft;
  return typeof limit === 'number' ? limit : Infinity;
}

interface ProcessReport {
  /** Absent on Windows. */
  readonly userLimits?: { readonly open_files?: { readonly soft: number | 'unlimited' } };
}

/** The full path of a program on PATH; undefined when there is none. */
export function findProgram(name: string, env: Env): string | undefined {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Whether the file exists and may be run. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch (error) {
    // Any system error, such as a missing file or a missing permission, means that it cannot be run.
    if (errorCode(error) !== undefined) return false;
    throw error;
  }
}

/** A Java machine on a busy computer takes seconds to print its version. */
const ASK_MS_MAX = 15_000;

/** What a program prints on both streams; undefined when it fails. */
export function ask(command: string, args: readonly string[], env: Env): string | undefined {
  const options = { env, encoding: 'utf8', timeout: ASK_MS_MAX } as const;
  const { status, stdout, stderr } = spawnSync(command, args, options);
  return status === 0 ? stdout + stderr : undefined;
}

/** The oldest PostgreSQL that the archive's schema needs. */
const POSTGRES_MAJOR_MIN = 15;

/** Debian keeps the server's programs of each version out of the PATH. */
const DEBIAN_FOLDER = '/usr/lib/postgresql';

/** The folders with `initdb` and `postgres` of a version that will do, the newest first. */
export function findPostgresPrograms(
  env: Env,
  debianFolder = DEBIAN_FOLDER,
): { readonly bin: string; readonly major: number }[] {
  const onPath = findProgram('postgres', env);
  const versions = existsSync(debianFolder) ? readdirSync(debianFolder) : [];
  const folders = [
    ...(onPath === undefined ? [] : [dirname(onPath)]),
    ...versions.map((version) => join(debianFolder, version, 'bin')),
  ];
  return folders
    .filter((bin) => ['initdb', 'postgres'].every((name) => isExecutable(join(bin, name))))
    .map((bin) => ({ bin, major: postgresMajor(bin, env) }))
    .filter(({ major }) => major >= POSTGRES_MAJOR_MIN)
    .sort((a, b) => b.major - a.major);
}

/** `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`; NaN where it cannot be run. */
function postgresMajor(bin: string, env: Env): number {
  return Number(/\) (\d+)/.exec(ask(join(bin, 'postgres'), ['--version'], env) ?? '')?.[1]);
}
