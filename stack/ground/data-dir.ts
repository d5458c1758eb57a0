import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from './error-code';
import { identify, isAlive, type ProcessIdentity } from '../processes/process-identity';
import { UserError } from '../../platform/user-error';

/** What one stack owns on disk while it runs. */
export interface DataDir {
  readonly path: string;
  /** A stack that was killed has left this folder behind, a moment ago or long since. */
  readonly wasAbandoned: boolean;
  /** Remembers a process that works on the data, so that a successor can wait for its end. */
  readonly remember: (pid: number) => void;
  /** Writes down where the parts are, by name, for commands that look for a running stack. */
  readonly announce: (addresses: Readonly<Record<string, string>>) => void;
  readonly release: () => void;
}

/** Written by us, read by the next stack on the same data. */
interface Owner {
  readonly stack: ProcessIdentity;
  readonly children: readonly ProcessIdentity[];
}

const OWNER_FILE = 'stack.json';

/** The data of the parts; logs stay when it is wiped. */
const PARTS = ['redis', 'kafka', 'temporal', 'payments'];

/** Processes of a killed stack are gone after 5 s; a slow machine gets as much again. */
const ORPHANS_MS_MAX = 10_000;
const LOOK_AGAIN_MS = 100;

/** How long the logs of a stack that failed to start are kept. */
const UNOWNED_MS_MAX = 3_600_000;

/**
 * Makes the folder ours until `release`. Throws a UserError when another stack runs on it. What is left of a stack
 * that was killed is waited for, since two Redis on one folder would ruin it. `fresh` wipes the data then.
 */
export async function claimDataDir(
  path: string,
  { fresh, signal }: { fresh: boolean; signal: AbortSignal },
): Promise<DataDir> {
  mkdirSync(path, { recursive: true });
  const file = join(path, OWNER_FILE);
  const stack = identify(process.pid);
  if (!stack) throw new Error('The start time of this process cannot be read');
  const children: ProcessIdentity[] = [];
  let announced: Readonly<Record<string, string>> = {};
  const write = (target: string) => {
    writeFileSync(target, JSON.stringify({ ...announced, stack, children } satisfies Owner));
  };
  const rewrite = () => {
    write(draft);
    renameSync(draft, file);
  };
  const draft = join(path, `.${OWNER_FILE}.${process.pid}`);

  let wasAbandoned = false;
  write(draft);
  while (!linkOnce(draft, file)) {
    const owner = readOwner(file);
    if (owner && isAlive(owner.stack)) {
      rmSync(draft);
      throw new UserError(
        `Another stack (process ${owner.stack.pid}) already runs on ${path}: stop it first, or set FLASH_SALE_DATA to another folder for this one.`,
      );
    }
    wasAbandoned = true;
    await orphansEnd(owner?.children ?? [], signal);
    rmSync(file, { force: true });
  }
  rmSync(draft);
  if (fresh) for (const part of PARTS) rmSync(join(path, part), { recursive: true, force: true });
  return {
    path,
    wasAbandoned,
    remember: (pid) => {
      const child = identify(pid);
      if (!child) return;
      children.push(child);
      rewrite();
    },
    announce: (addresses) => {
      announced = addresses;
      rewrite();
    },
    release: () => {
      rmSync(file, { force: true });
    },
  };
}

/** Whether a stack that still runs owns the folder. */
function isOwned(path: string): boolean {
  const owner = readOwner(join(path, OWNER_FILE));
  return owner !== undefined && isAlive(owner.stack);
}

/** Removes the folders below `parent` with this prefix whose stack is gone, together with all their data. */
export function removeAbandoned(parent: string, prefix: string): void {
  if (!existsSync(parent)) return;
  for (const name of readdirSync(parent)) {
    const path = join(parent, name);
    if (!name.startsWith(prefix) || isOwned(path)) continue;
    // Without an owner the folder is being made at this moment, or its stack has failed and left its logs.
    const age = Date.now() - statSync(path).mtimeMs;
    if (!existsSync(join(path, OWNER_FILE)) && age < UNOWNED_MS_MAX) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

/** A hard link either appears with its whole content or not at all, and never replaces another. */
function linkOnce(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined when the file has just been removed by its owner. */
function readOwner(file: string): Owner | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Owner) : undefined;
}

async function orphansEnd(children: readonly ProcessIdentity[], signal: AbortSignal) {
  const deadline = Date.now() + ORPHANS_MS_MAX;
  for (;;) {
    const alive = children.filter(isAlive);
    if (alive.length === 0) return;
    if (Date.now() > deadline) {
      throw new UserError(
        `Processes of a stack that was killed still run: end them with "kill ${alive.map(({ pid }) => pid).join(' ')}" and start again.`,
      );
    }
    await sleep(LOOK_AGAIN_MS, undefined, { signal });
  }
}
