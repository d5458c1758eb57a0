import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Processes by the part that they belong to; a part may have several. */
export type PartPids = readonly (readonly [part: string, pid: number])[];

/**
 * Starts to measure CPU. The returned function answers what each part has used since, in CPU ms, with the children of its
 * processes: PostgreSQL has one for each connection.
 */
export function startMeter(pids: PartPids): () => Map<string, number> {
  const before = pids.map(([, pid]) => cpuMsWithChildren(pid));
  return () =>
    sumByPart(pids.map(([part, pid], at) => [part, cpuMsWithChildren(pid) - (before[at] ?? 0)]));
}

function cpuMsWithChildren(pid: number): number {
  const { cpuMs, endedMs } = usageOf(pid);
  const running = childrenOf(pid).map((child) => usageOf(child).cpuMs);
  return running.reduce((total, ms) => total + ms, cpuMs + endedMs);
}

/** Resident memory of each part, in MB. */
export function memoryOf(pids: PartPids): Map<string, number> {
  return sumByPart(pids.map(([part, pid]) => [part, usageOf(pid).memoryMb]));
}

function sumByPart(figures: readonly (readonly [string, number])[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [part, value] of figures) sums.set(part, (sums.get(part) ?? 0) + value);
  return sums;
}

/** Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own clock. */
const MS_PER_TICK = 10;

interface Usage {
  readonly cpuMs: number;
  /** CPU of its children that have ended. */
  readonly endedMs: number;
  readonly memoryMb: number;
}

/**
 * What a process and all its threads have used so far, from /proc: user and system time, and resident memory. Zeroes,
 * which the tables show as 0, where there is no /proc (macOS) or the process is gone.
 */
export function usageOf(pid: number): Usage {
  const stat = readProc(pid, 'stat');
  const status = readProc(pid, 'status');
  if (stat === undefined || status === undefined) return { cpuMs: 0, endedMs: 0, memoryMb: 0 };
  // The name in brackets may hold spaces; the fields are counted behind it: utime is the 12th, then stime, cutime, cstime.
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
  const residentKb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  return {
    cpuMs: (user + system) * MS_PER_TICK,
    endedMs: (endedUser + endedSystem) * MS_PER_TICK,
    memoryMb: residentKb / 1_024,
  };
}

/** The processes that a process has started and that still run; none where there is no /proc. */
function childrenOf(pid: number): number[] {
  const list = readProc(pid, `task/${pid}/children`) ?? '';
  return list.split(' ').filter(Boolean).map(Number);
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const SAMPLE_EVERY_MS = 500;

/** Samples a process's memory. The returned function stops that and answers MB at the beginning, 1/3, 2/3 and the end. */
export function watchMemory(pid: number): () => number[] {
  const stopping = new AbortController();
  const samples = [usageOf(pid).memoryMb];
  const watch = async () => {
    for (;;) {
      await sleep(SAMPLE_EVERY_MS, undefined, { signal: stopping.signal });
      samples.push(usageOf(pid).memoryMb);
    }
  };
  // Stopping it rejects it.
  void Promise.allSettled([watch()]);
  return () => {
    stopping.abort();
    const at = (part: number) => samples[Math.round((samples.length - 1) * part)] ?? NaN;
    return [at(0), at(1 / 3), at(2 / 3), at(1)];
  };
}
