import { mkdir, open, readFile, truncate, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as endOfTurn } from 'node:timers/promises';

const NEWLINE = 0x0a;

/** A file that only grows, a line for each change. */
export interface Journal {
  /** Adds one line, without its line end. It is in the file once a later `settled` resolves. */
  readonly append: (line: string) => void;
  /** Resolves when everything appended so far is in the file. Once a write fails, rejects for ever. */
  readonly settled: () => Promise<void>;
  /** Waits for what was appended and closes the file. */
  readonly close: () => Promise<void>;
}

/**
 * Opens the journal at `path`, creating it and its folder when absent, and returns its whole lines as
 * `parse` reads them. A tail without a line end is a write cut short by a crash: it was never answered,
 * so it is cut off. What `parse` throws is passed on, and then nothing stays open.
 *
 * There is no fsync. What a finished write() handed to the kernel survives the death of this process,
 * also by SIGKILL; only a dead machine loses it, and a simulator that outlived its machine would have
 * nobody left to disagree with. An fsync would make every charge wait for the disk that the real
 * components of the same machine need.
 */
export async function openJournal<T>(
  path: string,
  parse: (line: string) => T,
): Promise<{ journal: Journal; entries: T[] }> {
  await mkdir(dirname(path), { recursive: true });
  const content = await readFile(path, { flag: 'a+' });
  const wholeBytes = content.lastIndexOf(NEWLINE) + 1;
  if (wholeBytes < content.length) await truncate(path, wholeBytes);
  const lines = content.toString('utf8', 0, wholeBytes).split('\n').slice(0, -1);
  const entries = lines.map(parse);
  return { journal: writeTo(await open(path, 'a')), entries };
}

function writeTo(file: FileHandle): Journal {
  let waiting: string[] = [];
  let written = Promise.resolve();

  const writeWaiting = async () => {
    // Requests that arrive in one turn of the event loop share one write.
    await endOfTurn();
    const group = waiting;
    waiting = [];
    await file.appendFile(group.join(''));
  };
  return {
    append(line) {
      waiting.push(`${line}\n`);
      if (waiting.length === 1) written = written.then(writeWaiting);
    },
    settled: () => written,
    async close() {
      try {
        await written;
      } finally {
        await file.close();
      }
    },
  };
}
