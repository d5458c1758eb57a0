/** Where progress goes: one line for people at a time. */
export type Report = (line: string) => void;

/** How often a long wait says that it is still going on. */
const STILL_MS = 5_000;

/** "0.2 s": elapsed milliseconds as people read them. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Reports `what` at once and then every 5 s with the time it has taken, until `work` is over. */
export async function reporting<T>(report: Report, what: string, work: () => Promise<T>) {
  const startedAt = Date.now();
  report(`  ${what} ...`);
  const timer = setInterval(() => {
    report(`  ${what} ... ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }, STILL_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Runs one part of the start and reports it in a table row: name, time it took, what came of it. */
export async function reportPart<T>(
  report: Report,
  part: string,
  work: () => Promise<T>,
  result: (value: T) => string,
): Promise<T> {
  const startedAt = Date.now();
  const value = await work();
  report(`  ${part.padEnd(18)} ${seconds(Date.now() - startedAt).padStart(7)}  ${result(value)}`);
  return value;
}
