import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { SECURITY_HEADERS } from '../../../platform/health-server';
import { openChargeLedger } from './ledger/charge-ledger';
import { createMisbehaviour, type Rule } from './misbehaviour';
import { InvalidRequestError } from './routes/request';
import { problem, type SimulatorResponse, type Task } from './routes/response';
import { createRouter } from './routes/router';
import { createWebhooks, type WebhookReceiver } from './webhooks';

/** Longer than the pauses of a client that keeps its connections: the server is never the first to close one. */
const KEEP_ALIVE_MS = 65_000;

/** How long a shutdown waits for callers that still send, or do not read, in ms. */
const CLOSE_MS_MAX = 2_000;

/**
 * A payment provider for tests and demos: it takes no money but remembers every charge. Throws for a damaged ledger file.
 *
 *     POST   /charges               { key, amount, currency, context? }
 *     POST   /payments              the same, of a payment that its buyer makes; `url` is the page to pay it
 *     GET    /charges/:key          of both kinds
 *     POST   /charges/:key/cancel   ends an open payment, and blocks a key that was never seen
 *     POST   /charges/:key/refund   gives back all that is left, and closes the key
 *     POST   /charges/:key/refunds  { refund_key?, amount?, currency? }: some of what was paid, or all that is left
 *     POST   /charges/:key/refunds/:id      { status, code? }: the bank's word on a refund, succeeded or failed
 *     POST   /charges/:key/dispute          { amount?, reason? }: the buyer objects
 *     POST   /charges/:key/dispute/close    { status }: the bank's word on it, won or lost
 *     GET    /charges/:key/returns  refunds and disputes, the oldest first
 *     GET    /pay/:token            the page, whose forms post there: what the buyer does, see BUYER_ACTIONS
 *     POST   /pay/:token            { action }: the same for programs
 *     GET    /ledger
 *     GET    /events?since=<ms>&limit=<n>   what has happened, the oldest first; `next`: since when the next page begins
 *     GET    /livez
 *     GET, PUT, DELETE /misbehaviour
 */
export async function createSimulator({
  ledgerFile,
  declineRate,
  webhooks: receiver,
  pageUrl,
  onError,
}: {
  /** Created when absent, its folder too. Only one process at a time may use it. */
  readonly ledgerFile: string;
  /** Fraction of keys declined, 0 to 1. */
  readonly declineRate: number;
  /** Who is sent each event; absent: nobody. */
  readonly webhooks?: WebhookReceiver | undefined;
  /** The address at which buyers reach this server, without a slash at its end; absent: its port on localhost. */
  readonly pageUrl?: string | undefined;
  /** Called with the first error of the simulator itself, such as a full disk; requests that it hits get a 500. */
  readonly onError?: (error: Error) => void;
}) {
  const misbehaviour = createMisbehaviour(declineRate);
  const webhooks = receiver && createWebhooks(receiver, (key) => misbehaviour.take('webhook', key));
  const ledger = await openChargeLedger(ledgerFile, webhooks?.send);
  let pages = pageUrl ?? '';
  const closing = new AbortController();
  const inFlight = new Set<Promise<void>>();
  let hasFailed = false;
  const fail = (error: unknown): void => {
    if (!hasFailed) onError?.(new Error('the payment simulator failed', { cause: error }));
    hasFailed = true;
  };
  const route = createRouter({
    ledger,
    misbehaviour,
    pageOf: (token) => `${pages}/pay/${token}`,
    later: (ms, work) => {
      delay(ms, undefined, { signal: closing.signal })
        .then(work)
        .catch((error: unknown) => {
          if (!closing.signal.aborted) fail(error);
        });
    },
  });

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      const { run, target } = await route(request);
      const rule = target && misbehaviour.take(target.operation, target.key);
      const result = rule ? await misbehave(rule, run, closing.signal) : await run();
      if (result === 'hang') return;
      if (result === 'drop') response.destroy();
      else await send(response, result);
    } catch (error) {
      if (error instanceof InvalidRequestError) {
        await send(response, problem(error.status, 'invalid-request', error.message));
      } else if (request.complete && !closing.signal.aborted) {
        await send(response, problem(500, 'internal', String(error)));
        fail(error);
      }
      // Otherwise the caller closed the connection in mid-request, or the simulator is closing: no one waits.
    }
  };

  const server = createServer((request, response) => {
    const handling = handle(request, response);
    inFlight.add(handling);
    void handling.finally(() => inFlight.delete(handling));
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;

  return {
    /** Port 0 takes a free one. Resolves with the base URL; rejects when the port is taken. */
    listen: async (port: number, host = '127.0.0.1') => {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(port, host, resolve);
      });
      const bound = (server.address() as AddressInfo).port;
      pages ||= `http://localhost:${bound}`;
      return { port: bound, url: `http://${host}:${bound}` };
    },

    /** Finishes what takes effect, closes every connection and the file. */
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      closing.abort();
      const timeout = delay(CLOSE_MS_MAX, undefined, { ref: false });
      await Promise.race([Promise.all(inFlight), timeout]);
      server.closeAllConnections();
      await closed;
      await webhooks?.close();
      await ledger.close();
    },
  };
}

/** Runs a task under a rule. `hang`: no response, ever. `drop`: no response, and the connection is closed. */
async function misbehave(
  rule: Rule,
  run: Task['run'],
  closing: AbortSignal,
): Promise<SimulatorResponse | 'hang' | 'drop'> {
  // These two are about what comes after the answer.
  if (rule.kind === 'pending' || rule.kind === 'fail-later') return run(rule);
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
      return run(rule);
    // Of webhooks only: no request is hit by them.
    case 'lost':
    case 'forged':
    case 'reordered':
      return run();
  }
}

/** Resolves when the response is handed over or the caller is gone. */
function send(response: ServerResponse, result: SimulatorResponse): Promise<void> {
  const { status, body, headers } = result;
  if (response.destroyed) return Promise.resolve();
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  // After a body that was too large, the rest of it still arrives: the next request needs a new connection.
  const connection = status === 413 ? { connection: 'close' } : {};
  return new Promise((resolve) => {
    response
      .once('close', resolve)
      .writeHead(status, { ...SECURITY_HEADERS, 'content-type': type, ...connection, ...headers })
      .end(headers ? body : JSON.stringify(body));
  });
}
