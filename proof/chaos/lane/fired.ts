import { openSync, closeSync, fstatSync, readSync } from 'node:fs';
import { FAILPOINT_FIRED } from '../../../platform/failpoints';
import { logSize } from '../../../stack/processes/last-words';
import { until } from '../../../platform/until';

/**
 * Waits until a process says in its log that a failpoint fires; `from` is the log's size before it was armed. False
 * when it does not within `withinMs`.
 */
export async function whenFired(
  logFile: string,
  from: number,
  { withinMs, signal }: { readonly withinMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const look = () => {
    if (readFrom(logFile, from).includes(FAILPOINT_FIRED)) return Promise.resolve(true);
    throw new Error('it has not fired');
  };
  return until('no failpoint has fired', look, { withinMs, signal }).catch((error: unknown) => {
    if (signal.aborted) throw error;
    return false;
  });
}

function readFrom(logFile: string, from: number): string {
  if (logSize(logFile) <= from) return '';
  const file = openSync(logFile, 'r');
  try {
    const buffer = Buffer.alloc(fstatSync(file).size - from);
    readSync(file, buffer, 0, buffer.length, from);
    return buffer.toString('utf8');
  } finally {
    closeSync(file);
  }
}
