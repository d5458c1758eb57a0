import { randomBytes } from 'node:crypto';
import {
  chmodSync,
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
import { identify, isAlive, type ProcessIdentity } from './guarded-process';
import { formatCredentials } from '../engine/operators/credentials';
import { OPERATOR_TOKEN_FILE_NAME, OPERATORS_FILE_NAME } from '../platform/config/command-line';
import { UserError, errorCode } from '../platform/user-error';

const WEBHOOK_SECRET_FILE_NAME = 'webhook-secret';

/** The content of the owner file, which the next stack on the same data reads. */
interface Owner {
  readonly stack: ProcessIdentity;
  readonly children: readonly ProcessIdentity[];
}

const OWNER_FILE = 'stack.json';

/** The folders with data, which `fresh` removes. Logs stay. */
const PARTS = ['redis', 'kafka', 'temporal', 'postgres', 'payments'];

/** Processes of a killed stack end within 5 s; a slow machine gets twice as long. */
const ORPHANS_MS_MAX = 10_000;
const LOOK_AGAIN_MS = 100;

/** How long the logs of a stack that failed to start are kept. */
const UNOWNED_MS_MAX = 3_600_000;

/**
 * Claims a stack's data folder until `release`. Throws a UserError when another stack runs on it. Waits for the remaining
 * processes of a killed stack, because two Redis on one folder would corrupt it. `fresh` then removes the data.
 */
export async function claimDataDir(
  path: string,
  { fresh, signal }: { fresh: boolean; signal: AbortSignal },
) {
  mkdirSync(path, { recursive: true });
  // Orders, logs and tokens are nobody else's, also those that an earlier stack has left readable for all.
  chmodSync(path, 0o700);
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
    await waitForOrphans(owner?.children ?? [], signal);
    rmSync(file, { force: true });
  }
  rmSync(draft);
  if (fresh) for (const part of PARTS) rmSync(join(path, part), { recursive: true, force: true });
  return {
    /** A stack that was killed left this folder behind, just now or long ago. */
    wasAbandoned,
    /** Adds a process that works on the data, so that the next stack can wait for its end. */
    remember: (pid: number) => {
      const child = identify(pid);
      if (!child) return;
      children.push(child);
      rewrite();
    },
    /** Writes the addresses of the parts for commands that look for a running stack. */
    announce: (addresses: Readonly<Record<string, string>>) => {
      announced = addresses;
      rewrite();
    },
    release: () => {
      rmSync(file, { force: true });
    },
  };
}

/** Whether a running stack owns the folder. */
function isOwned(path: string): boolean {
  const owner = readOwner(join(path, OWNER_FILE));
  return owner !== undefined && isAlive(owner.stack);
}

/** Removes the folders below `parent` that have this prefix and whose stack has ended. */
export function removeAbandoned(parent: string, prefix: string): void {
  if (!existsSync(parent)) return;
  for (const name of readdirSync(parent)) {
    const path = join(parent, name);
    if (!name.startsWith(prefix) || isOwned(path)) continue;
    // Without an owner the folder is being created, or its stack failed and left its logs.
    const age = Date.now() - statSync(path).mtimeMs;
    if (!existsSync(join(path, OWNER_FILE)) && age < UNOWNED_MS_MAX) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

/** False when the file exists. A hard link appears with its whole content and never replaces a file. */
function linkOnce(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined when its owner has just removed the file. */
function readOwner(file: string): Owner | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Owner) : undefined;
}

async function waitForOrphans(children: readonly ProcessIdentity[], signal: AbortSignal) {
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

/** The file with the credentials of a stack's operators. It is created without any. Claim the folder first. */
export function operatorsFile(dataDir: string): string {
  const file = join(dataDir, OPERATORS_FILE_NAME);
  if (!existsSync(file)) writeFileSync(file, formatCredentials([]), { mode: 0o600 });
  return file;
}

/** The file with a stack's operator token. */
export function operatorTokenFile(dataDir: string): string {
  return join(dataDir, OPERATOR_TOKEN_FILE_NAME);
}

/**
 * The token with which operators authenticate at the gateway of this stack: generated once, kept between runs, readable by
 * this user only. Claim the folder first.
 */
export function operatorToken(dataDir: string): string {
  return keptSecret(operatorTokenFile(dataDir));
}

/** What the payment simulator of this stack signs its webhooks with. As above. */
export function webhookSecret(dataDir: string): string {
  return keptSecret(join(dataDir, WEBHOOK_SECRET_FILE_NAME));
}

function keptSecret(file: string): string {
  const kept = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (kept !== '') return kept;
  const token = randomBytes(24).toString('base64url');
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  return token;
}
