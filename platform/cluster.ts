import cluster, { type Worker } from 'node:cluster';
import type { Logger } from './logger';

/**
 * Makes libuv accept one connection and leave the next to the other workers. Of 256 connections opened at once, two
 * workers got 220 and 36 without it, 152 and 104 with it.
 */
const ONE_AT_A_TIME = { UV_TCP_SINGLE_ACCEPT: '1' };

/** Delay before a worker is started again, so that one that dies at once does not keep a core busy. */
const RESTART_MS = 200;

/** With more deaths within the time, restarting does not help: the primary exits, and its supervisor sees one failure. */
const DEATHS_PER_WORKER_MAX = 5;
const DEATHS_WITHIN_MS = 60_000;

/**
 * Runs `count` workers of this process's own file that share one port, and restarts a worker that dies. `fail` ends the
 * process: when a worker dies before any has listened, or when too many die. If the primary dies, the workers see their
 * channel close and exit at once.
 *
 * Each worker accepts connections itself, from one shared socket (SCHED_NONE). With node:cluster's default, round robin, the
 * primary accepts and hands over: then a worker that is killed between the two leaves a client that is never answered
 * and never disconnected (seen on Node 20), and a frozen or busy worker still gets its share of connections.
 */
export function startCluster(count: number, logger: Logger, fail: (error: Error) => void) {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const onMessage = createRelay();
  let deaths: readonly number[] = [];
  let [hasListened, isStopping] = [false, false];
  let ended = () => {};
  const allEnded = new Promise<void>((resolve) => {
    ended = resolve;
  });

  const fork = () => {
    if (!isStopping) cluster.fork(ONE_AT_A_TIME);
  };
  const abort = (why: string) => {
    isStopping = true;
    fail(new Error(why));
  };
  cluster.on('listening', () => {
    hasListened = true;
  });
  cluster.on('message', onMessage);
  cluster.on('exit', (worker, code: number | null, signal: string | null) => {
    if (isStopping) {
      if (running().length === 0) ended();
      return;
    }
    logger.error({ pid: worker.process.pid, code, signal }, 'a worker process has ended');
    const now = performance.now();
    deaths = [...deaths.filter((at) => now - at < DEATHS_WITHIN_MS), now];
    if (!hasListened) abort('A worker process has ended at its start');
    else if (deaths.length > DEATHS_PER_WORKER_MAX * count) {
      abort(`${deaths.length} worker processes have died in a minute`);
    } else setTimeout(fork, RESTART_MS);
  });
  for (let i = 0; i < count; i++) fork();

  return {
    /** Sends SIGTERM to every worker and resolves when all have ended. None is started again. */
    stop: async () => {
      isStopping = true;
      if (running().length === 0) return;
      for (const worker of running()) worker.process.kill('SIGTERM');
      await allEnded;
    },
  };
}

function running(): readonly Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
}

/**
 * Connects a worker with the others. `answers` holds what this worker answers to each question, as anything that JSON can
 * hold; they must not reject.
 */
export function joinCluster(answers: Readonly<Record<string, () => Promise<unknown>>>) {
  const waiting = new Map<number, (answers: readonly unknown[]) => void>();
  let lastId = 0;
  process.on('message', (message: unknown) => {
    if (!isMessage(message)) return;
    if (message.cluster === 'all-answers') {
      waiting.get(message.id)?.(message.answers);
      waiting.delete(message.id);
    }
    if (message.cluster !== 'ask') return;
    const { id, question } = message;
    void answers[question]?.().then((answer) => {
      sendToPrimary({ cluster: 'answer', id, answer });
    });
  });
  return {
    /** The answers of all running workers, this one included. A worker that takes longer than a second is left out. */
    askAll: (question: string): Promise<readonly unknown[]> =>
      new Promise((resolve) => {
        const id = ++lastId;
        waiting.set(id, resolve);
        sendToPrimary({ cluster: 'ask-all', id, question });
      }),
  };
}

function sendToPrimary(message: Message): void {
  process.send?.(message);
}

/** A worker asks the primary, the primary asks every worker and sends the answers to the worker that asked. */
type Message =
  /** Worker to primary. */
  | { readonly cluster: 'ask-all'; readonly id: number; readonly question: string }
  /** Primary to worker. */
  | { readonly cluster: 'ask'; readonly id: number; readonly question: string }
  /** Worker to primary. */
  | { readonly cluster: 'answer'; readonly id: number; readonly answer: unknown }
  /** Primary to worker: the answers that came in time, in any order. */
  | { readonly cluster: 'all-answers'; readonly id: number; readonly answers: readonly unknown[] };

/** The channel also carries messages of Node itself. */
function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'cluster' in value;
}

/** A busy or frozen worker must not delay the answers of the others: probes wait a second or so. */
const ANSWERS_MS_MAX = 800;

/** The primary's listener for messages of workers. */
function createRelay() {
  interface Round {
    readonly answers: unknown[];
    pending: number;
    readonly finish: () => void;
  }
  const rounds = new Map<number, Round>();
  let lastId = 0;

  const askAll = (asker: Worker, askerId: number, question: string) => {
    const id = ++lastId;
    const asked = running();
    const finish = () => {
      clearTimeout(timer);
      rounds.delete(id);
      send(asker, { cluster: 'all-answers', id: askerId, answers: round.answers });
    };
    const round: Round = { answers: [], pending: asked.length, finish };
    const timer = setTimeout(finish, ANSWERS_MS_MAX);
    rounds.set(id, round);
    for (const worker of asked) send(worker, { cluster: 'ask', id, question });
  };

  return (worker: Worker, message: unknown): void => {
    if (!isMessage(message)) return;
    if (message.cluster === 'ask-all') askAll(worker, message.id, message.question);
    if (message.cluster !== 'answer') return;
    const round = rounds.get(message.id);
    if (!round) return;
    round.answers.push(message.answer);
    round.pending -= 1;
    if (round.pending === 0) round.finish();
  };
}

/** A worker that is disconnected is about to end and needs no message. */
function send(worker: Worker, message: Message): void {
  if (worker.isConnected()) worker.send(message, () => undefined);
}
