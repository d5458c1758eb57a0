import cluster, { type Worker } from 'node:cluster';
import type { Logger } from '../logger';
import { createRelay } from './relay';

export interface CopiesOptions {
  /** The compiled file that each copy runs; see `joinCopies`. */
  readonly file: string;
  readonly count: number;
  readonly logger: Logger;
  /** Ends this process with a fault: nothing is left that starting again could mend. */
  readonly fail: (error: Error) => void;
}

/**
 * Tells libuv to accept one connection and let the other copies have the next. Of 256 connections opened at once the
 * two copies got 220 and 36 without it, 152 and 104 with it.
 */
const ONE_AT_A_TIME = { UV_TCP_SINGLE_ACCEPT: '1' };

export interface Copies {
  /** SIGTERM to every copy; resolves when all of them have ended. From then on none is started again. */
  readonly stop: () => Promise<void>;
}

/** A copy that dies at once, over and over, must not keep a core busy with starting it. */
const RESTART_MS = 200;

/**
 * With so many deaths of each copy within a minute it is not bad luck: this process ends, and who supervises it sees
 * what it would see of a single process.
 */
const DEATHS_PER_COPY_MAX = 5;
const DEATHS_WITHIN_MS = 60_000;

/**
 * Runs `count` copies of a process that share one port, and starts a copy again that has died. A copy that ends before
 * any has listened is a fault of the start, and fails the whole.
 *
 * Each copy accepts connections itself, from one socket that all of them listen on. In turns, which is how node:cluster
 * does it unless told otherwise, this process would accept and hand over: then a copy that is killed between the handing
 * over and its receipt leaves a client behind that is never answered and never cut (seen on Node 20), and one that is
 * frozen or busy gets its share of connections all the same.
 *
 * When this process dies, its copies see their channel close and end at once: their buyers are as those of any gateway
 * that was killed.
 */
export function startCopies({ file, count, logger, fail }: CopiesOptions): Copies {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ exec: file, args: [] });
  const relay = createRelay(running);
  let deaths: readonly number[] = [];
  let [hasListened, isStopping] = [false, false];
  let ended = () => {};
  const allEnded = new Promise<void>((resolve) => {
    ended = resolve;
  });

  const fork = () => {
    if (!isStopping) cluster.fork(ONE_AT_A_TIME);
  };
  const giveUp = (why: string) => {
    isStopping = true;
    fail(new Error(why));
  };
  cluster.on('listening', () => {
    hasListened = true;
  });
  cluster.on('message', (copy, message: unknown) => {
    relay.heard(copy, message);
  });
  cluster.on('exit', (copy, code: number | null, signal: string | null) => {
    if (isStopping) {
      if (running().length === 0) ended();
      return;
    }
    logger.error({ pid: copy.process.pid, code, signal }, 'a copy has ended');
    const now = performance.now();
    deaths = [...deaths.filter((at) => now - at < DEATHS_WITHIN_MS), now];
    if (!hasListened) giveUp('A copy has ended at its start');
    else if (deaths.length > DEATHS_PER_COPY_MAX * count) {
      giveUp(`${deaths.length} copies have died in a minute`);
    } else setTimeout(fork, RESTART_MS);
  });
  for (let i = 0; i < count; i++) fork();

  return {
    stop: async () => {
      isStopping = true;
      if (running().length === 0) return;
      for (const copy of running()) copy.process.kill('SIGTERM');
      await allEnded;
    },
  };
}

function running(): readonly Worker[] {
  return Object.values(cluster.workers ?? {}).filter((copy) => copy !== undefined);
}
