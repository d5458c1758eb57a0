import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../ground/error-code';
import { identify } from '../processes/process-identity';

const PARTIAL = '.partial-';

/**
 * The folder `name` of the cache, filled by `fill` when it is not there yet. It is filled under another name and
 * renamed when complete: an interrupted installation leaves nothing that looks like a finished one, and of two stacks
 * that install at once the slower takes what the faster has made. `proof` is a file in it without which it is not whole.
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
    // Somebody removed files from it, or it is of a time when it had others.
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
    // Another stack was faster; a folder that is not empty is never replaced by a rename.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** Half-filled folders of processes that were killed. */
function removeAbandoned(cacheDir: string): void {
  for (const entry of readdirSync(cacheDir)) {
    if (!entry.startsWith(PARTIAL)) continue;
    const pid = Number(entry.slice(PARTIAL.length).split('-')[0]);
    if (!identify(pid)) rmSync(join(cacheDir, entry), { recursive: true, force: true });
  }
}
