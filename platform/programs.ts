import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Env } from './config';

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
    // No such file, no right to look: whatever the code, it cannot be run.
    if (typeof error === 'object' && error !== null && 'code' in error) return false;
    throw error;
  }
}

/** A Java machine on a busy computer takes seconds to print its version. */
const ASK_MS_MAX = 15_000;

/** What a program prints when asked something, both streams; undefined when it fails. */
export function ask(command: string, args: readonly string[], env: Env): string | undefined {
  const options = { env, encoding: 'utf8', timeout: ASK_MS_MAX } as const;
  const { status, stdout, stderr } = spawnSync(command, args, options);
  return status === 0 ? stdout + stderr : undefined;
}
