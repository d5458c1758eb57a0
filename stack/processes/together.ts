import { UserError, describeError } from '../../platform/user-error';

/**
 * Waits for all parts. With the first fault `giveUp` is called, and once every part has ended, the faults are thrown
 * as one: parts that only gave up are not among them.
 */
export async function allOrNone<T extends readonly Promise<unknown>[]>(
  giveUp: () => void,
  parts: [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  for (const part of parts) part.catch(giveUp);
  const results = await Promise.allSettled(parts);
  const faults = results
    .flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []))
    .map((reason) => (reason instanceof Error ? reason : new Error(String(reason))))
    .filter((fault) => !isAbort(fault));
  if (faults.length > 1) {
    const text = faults.map(describeError).join('\n');
    const cause = new AggregateError(faults);
    throw faults.every((fault) => fault instanceof UserError)
      ? new UserError(text)
      : new Error(text, { cause });
  }
  if (faults[0]) throw faults[0];
  return Promise.all(parts);
}

/** The promise, or the signal's reason when that is aborted first. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener(
      'abort',
      () => {
        reject(signal.reason as Error);
      },
      { signal: over.signal },
    );
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    over.abort();
  }
}

/** Whether a fault only says that somebody else asked to stop. */
export function isAbort(fault: unknown): boolean {
  return fault instanceof Error && fault.name === 'AbortError';
}
