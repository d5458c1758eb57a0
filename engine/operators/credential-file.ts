import { open, readFile, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../platform/logger';
import { sharedCounter } from '../../platform/metrics';
import { lookEvery } from '../../platform/until';
import { describeError, errorCode, UserError } from '../../platform/user-error';
import { formatCredentials, parseCredentials, type Credential } from './credentials';

/** Throws a UserError that names the file when it cannot be read or does not hold credentials. */
export async function readCredentials(file: string): Promise<readonly Credential[]> {
  try {
    return parseCredentials(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new UserError(`The operators' file ${file} is of no use: ${describeError(cause)}.`, {
      cause,
    });
  }
}

/**
 * Replaces the credentials of a file, which need not exist, by what `change` makes of them. The new file takes the place
 * of the old one in one step, so that a gateway never reads half of it, and has its owner and mode, so that the gateway
 * can go on reading it. The first file is readable by the owner of its folder alone; resolves with a sentence where it
 * could not be given to that owner. Throws a UserError; the file is then as it was.
 */
export async function changeCredentials(
  file: string,
  change: (credentials: readonly Credential[]) => readonly Credential[],
): Promise<{ readonly warning?: string }> {
  const path = (await unlessMissing(realpath(file))) ?? file;
  const next = `${path}.new`;
  // Created before the old file is looked for: of two changes at once the second one fails, instead of undoing the first.
  const handle = await open(next, 'wx', 0o600).catch((cause: unknown) => {
    throw errorCode(cause) === 'EEXIST'
      ? new UserError(`Another change is under way. If none is, remove ${next}.`, { cause })
      : new UserError(`Cannot write ${next} (${describeError(cause)}).`, { cause });
  });
  try {
    const old = await unlessMissing(stat(path));
    const owner = old ?? (await stat(dirname(path)));
    // The group of a folder says nothing of who shall read the files in it.
    const fault = await giveTo(handle, owner.uid, old?.gid);
    if (old && fault) {
      throw new UserError(
        `${path} belongs to uid ${owner.uid} and gid ${owner.gid}, to whom the new file cannot be given (${fault}): run this as that user, or as root. Nothing was changed.`,
      );
    }
    if (old) await handle.chmod(old.mode & 0o777);
    const changed = change(old ? await readCredentials(path) : []);
    await handle.writeFile(formatCredentials(changed));
    await handle.sync();
    await rename(next, path);
    if (!fault) return {};
    const warning = `Only you can read ${path}; it could not be given to the owner of its folder, uid ${owner.uid} (${fault}). The gateway's user must be able to read it.`;
    return { warning };
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  return found.catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
}

/** Resolves with why that is not allowed. */
async function giveTo(
  handle: FileHandle,
  uid: number,
  group?: number,
): Promise<string | undefined> {
  const own = await handle.stat();
  const gid = group ?? own.gid;
  if (own.uid === uid && own.gid === gid) return undefined;
  return handle.chown(uid, gid).then(() => undefined, describeError);
}

/** A removed credential is refused after this time. A look costs one stat. */
const LOOK_EVERY_MS = 1_000;

export type CredentialWatch = Awaited<ReturnType<typeof watchCredentials>>;

/**
 * Reads a file of credentials and reads it again when it changes. While it cannot be read, or holds something else, the
 * credentials that it had last stay in force. Throws a UserError when it cannot be read at first.
 */
export async function watchCredentials(file: string, logger: Logger) {
  let signature = await signatureOf(file).catch(() => '');
  let credentials = await readCredentials(file);
  let fault: string | undefined;
  const faults = sharedCounter({
    name: 'flash_sale_operators_file_faults_total',
    help: "Looks at the operators' file that failed; its last content stays in force",
  });

  const look = async (): Promise<void> => {
    try {
      // Of before the reading: a change during it is seen by the next look.
      const present = await signatureOf(file);
      if (present === signature && fault === undefined) return;
      const read = await readCredentials(file);
      logChange(logger, credentials, read);
      [credentials, signature, fault] = [read, present, undefined];
    } catch (error) {
      faults.inc();
      const text = describeError(error);
      if (text !== fault) {
        logger.error({ file, err: error }, 'the credentials of operators stay as they were');
      }
      fault = text;
    }
  };
  const { lookOnce, stop } = lookEvery(LOOK_EVERY_MS, look);

  return {
    current: (): readonly Credential[] => credentials,
    /** Reads the file if it has changed. Never rejects. */
    look: lookOnce,
    /** A sentence while the file cannot be read. */
    warnings: (): string[] =>
      fault === undefined ? [] : ["the operators' file cannot be read: its last content holds"],
    stop,
  };
}

/** Differs after every change: a file that was replaced has another inode, one that was written another time. */
async function signatureOf(file: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(file);
  return [mtimeMs, size, ino].join(' ');
}

function logChange(logger: Logger, before: readonly Credential[], after: readonly Credential[]) {
  const without = (some: readonly Credential[], others: readonly Credential[]) =>
    some
      .filter(({ id }) => !others.some((other) => other.id === id))
      .map(({ id, name, role }) => ({ id, name, role }));
  const fields = { added: without(after, before), removed: without(before, after) };
  logger.info(fields, 'the credentials of operators have changed');
}
