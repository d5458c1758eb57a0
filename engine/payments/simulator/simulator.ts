import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createChargeLedger, parseRecord } from './charge-ledger';
import { openJournal } from './journal';
import { createMisbehaviour, type Rule } from './misbehaviour';
import { Invalid } from './request';
import { findTask, problem, type Answer, type Task } from './routes';

/** Longer than the pauses of a client that keeps its connections: the server is never the first to hang up. */
const KEEP_ALIVE_MS = 65_000;

/** How long a shutdown waits for callers who are still sending, or not reading, in ms. */
const CLOSE_MS_MAX = 2_000;

export interface SimulatorOptions {
  /** The persistent ledger: created when absent, its folder too. One process at a time. */
  readonly ledgerFile: string;
  /** Fraction of keys declined, 0 to 1. */
  readonly declineRate: number;
  /** Told of the first fault of the simulator itself, such as a full disk; every request it hits gets a 500. */
  readonly onFault?: (error: Error) => void;
}

export interface Simulator {
  /** Port 0 takes a free one. Resolves with the base URL; rejects when the port is taken. */
  readonly listen: (port: number, host?: string) => Promise<{ port: number; url: string }>;
  /** Finishes what takes effect, cuts every connection, closes the file. */
  readonly close: () => Promise<void>;
}

/** A payment provider for tests and demos: it takes no money but remembers every charge. Rejects on a damaged ledger file. */
export async function createSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { journal, entries } = await openJournal(options.ledgerFile, parseRecord);
  const ledger = createChargeLedger(journal, entries);
  const misbehaviour = createMisbehaviour(options.declineRate);
  const closing = new AbortController();
  const inHand = new Set<Promise<void>>();
  let faulty = false;
  const reportFault = (fault: Error) => {
    if (!faulty) options.onFault?.(fault);
    faulty = true;
  };

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      const task = await findTask(request, ledger, misbehaviour);
      const rule = task.target && misbehaviour.take(task.target.operation, task.target.key);
      const answer = await carryOut(task, rule, closing.signal);
      if (answer === 'hang') return;
      if (answer === 'drop') response.destroy();
      else await send(response, answer);
    } catch (error) {
      if (error instanceof Invalid) {
        await send(response, problem(error.status, 'invalid-request', error.message));
      } else if (request.complete && !closing.signal.aborted) {
        await send(response, problem(500, 'internal', String(error)));
        reportFault(new Error('the payment simulator failed', { cause: error }));
      }
      // Else the caller hung up in mid-request, or is being sent away: nobody waits for an answer.
    }
  };

  const server = createServer((request, response) => {
    const handling = handle(request, response);
    inHand.add(handling);
    void handling.finally(() => inHand.delete(handling));
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;

  return {
    async listen(port, host = '127.0.0.1') {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(port, host, resolve);
      });
      const bound = (server.address() as AddressInfo).port;
      return { port: bound, url: `http://${host}:${bound}` };
    },

    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      closing.abort();
      const patience = delay(CLOSE_MS_MAX, undefined, { ref: false });
      await Promise.race([Promise.all(inHand), patience]);
      server.closeAllConnections();
      await closed;
      await journal.close();
    },
  };
}

/** Does the task under a rule of misbehaviour. `hang`: no answer, ever. `drop`: no answer and no connection. */
async function carryOut(
  { run }: Task,
  rule: Rule | undefined,
  closing: AbortSignal,
): Promise<Answer | 'hang' | 'drop'> {
  if (!rule) return run();
  if (rule.delayMs > 0) await delay(rule.delayMs, undefined, { signal: closing });
  const failure = problem(rule.status, 'unavailable', 'The simulator was told to fail.');
  switch (rule.kind) {
    case 'slow':
      return run();
    case 'hang-before':
      return 'hang';
    case 'hang-after':
      await run();
      return 'hang';
    case 'fail-before':
      return failure;
    case 'fail-after':
      await run();
      return failure;
    case 'drop-after':
      await run();
      return 'drop';
    case 'twice': {
      const [, second] = await Promise.all([run(), run()]);
      return second;
    }
    case 'decline':
      return run(rule.code);
  }
}

/** Resolves when the answer is handed over or the caller is gone. */
function send(response: ServerResponse, { status, body }: Answer): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  // A body that was too large is still arriving: only a new connection begins at a request again.
  const connection = status === 413 ? { connection: 'close' } : {};
  return new Promise((resolve) => {
    response
      .once('close', resolve)
      .writeHead(status, { 'content-type': type, ...connection })
      .end(JSON.stringify(body));
  });
}
