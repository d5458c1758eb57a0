import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
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
 * Runs `count` workers of this process's own file that share their ports, and restarts a worker that dies. `fail` ends the
 * process: when a worker dies before any has listened on `lastPort`, or when too many die. If the primary dies, the workers
 * see their channel close and exit at once.
 *
 * Each worker accepts connections itself, from one shared socket (SCHED_NONE). With node:cluster's default, round robin, the
 * primary accepts and hands over: then a worker that is killed between the two leaves a client that is never answered
 * and never disconnected (seen on Node 20), and a frozen or busy worker still gets its share of connections.
 */
export function startCluster(
  count: number,
  lastPort: number,
  logger: Logger,
  fail: (error: Error) => void,
) {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  let deaths: readonly number[] = [];
  let [hasListened, isStopping] = [false, false];

  const fork = () => {
    if (!isStopping) cluster.fork(ONE_AT_A_TIME);
  };
  const abort = (why: string) => {
    isStopping = true;
    fail(new Error(why));
  };
  cluster.on('listening', (_, { port }) => {
    hasListened ||= port === lastPort;
  });
  cluster.on('message', passOn);
  cluster.on('exit', (worker, code: number | null, signal: string | null) => {
    if (isStopping) return;
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
      const ended = running().map((worker) => once(worker, 'exit'));
      for (const worker of running()) worker.process.kill('SIGTERM');
      await Promise.all(ended);
    },
  };
}

function running(): readonly Worker[] {
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  return workers.filter((worker) => !worker.isDead());
}

/** A busy or frozen worker must not delay the answers of the others: probes wait a second or so. */
const ANSWERS_MS_MAX = 800;

/**
 * A worker asks by way of the primary: it sends `ask`, which the primary passes to every worker, and the primary passes
 * each `answer` to the asker. `asked` tells the asker how many answers to expect.
 */
interface Message {
  readonly cluster: 'ask' | 'asked' | 'answer';
  readonly askerId: number;
  readonly id: number;
  /** The question, the number of workers or the answer. */
  readonly value: unknown;
}

/** The channel also carries messages of Node itself. */
function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'cluster' in value;
}

/** In the primary. */
function passOn(sender: Worker, message: unknown): void {
  if (!isMessage(message)) return;
  if (message.cluster === 'ask') {
    const asked = running();
    for (const worker of asked) sendTo(worker, message);
    sendTo(sender, { ...message, cluster: 'asked', value: asked.length });
  } else {
    const asker = cluster.workers?.[message.askerId];
    if (asker) sendTo(asker, message);
  }
}

/** A worker that is disconnected is about to end and needs no message. */
function sendTo(worker: Worker, message: Message): void {
  if (worker.isConnected()) worker.send(message, () => undefined);
}

/**
 * Connects a worker with the others. `answers` holds what this worker answers to each question, as anything that JSON can
 * hold; they must not reject.
 */
export function joinCluster(answers: Readonly<Record<string, () => Promise<unknown>>>) {
  const rounds = new Map<number, { answers: unknown[]; count: number; finish: () => void }>();
  let lastId = 0;
  const askerId = cluster.worker?.id ?? 0;
  const send = (message: Message) => process.send?.(message);
  process.on('message', (message: unknown) => {
    if (!isMessage(message)) return;
    if (message.cluster === 'ask') {
      void answers[String(message.value)]?.().then((answer) => {
        send({ ...message, cluster: 'answer', value: answer });
      });
      return;
    }
    const round = rounds.get(message.id);
    if (!round) return;
    if (message.cluster === 'asked') round.count = Number(message.value);
    else round.answers.push(message.value);
    if (round.answers.length === round.count) round.finish();
  });
  return {
    /** The answers of all running workers, this one included. A worker that is late is left out. */
    askAll: (question: string): Promise<readonly unknown[]> =>
      new Promise((resolve) => {
        const id = ++lastId;
        const finish = () => {
          clearTimeout(timer);
          rounds.delete(id);
          resolve(round.answers);
        };
        const timer = setTimeout(finish, ANSWERS_MS_MAX);
        const round = { answers: [] as unknown[], count: Infinity, finish };
        rounds.set(id, round);
        send({ cluster: 'ask', askerId, id, value: question });
      }),
  };
}
