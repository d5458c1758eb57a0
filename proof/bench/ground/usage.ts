import { readFileSync } from 'node:fs';

/** What one process has used so far. */
export interface Usage {
  /** User and system time in ms. */
  readonly cpuMs: number;
  /** Resident memory in MB. */
  readonly memoryMb: number;
}

/** Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own clock. */
const MS_PER_TICK = 10;

/**
 * Reads what a process and all its threads have used from /proc; zeroes where there is none (macOS, or the process is gone), which
 * the tables show as 0.
 */
export function usageOf(pid: number): Usage {
  const stat = readProc(pid, 'stat');
  const status = readProc(pid, 'status');
  if (stat === undefined || status === undefined) return { cpuMs: 0, memoryMb: 0 };
  // The name in brackets may hold spaces; the fields are counted behind it: utime is the 12th, stime the 13th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const residentKb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  return { cpuMs: ticks * MS_PER_TICK, memoryMb: residentKb / 1_024 };
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Takes note of what these processes have used; the returned function tells what they used since, in CPU ms. */
export function startMeter(pids: ReadonlyMap<string, number>): () => Map<string, number> {
  const before = new Map([...pids].map(([name, pid]) => [name, usageOf(pid).cpuMs]));
  return () =>
    new Map([...pids].map(([name, pid]) => [name, usageOf(pid).cpuMs - (before.get(name) ?? 0)]));
}

/** The processes that a process has started and that still run; none where there is no /proc. */
export function childrenOf(pid: number): number[] {
  const list = readProc(pid, `task/${pid}/children`) ?? '';
  return list.split(' ').filter(Boolean).map(Number);
}
