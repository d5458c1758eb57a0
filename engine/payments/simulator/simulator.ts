import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Type } from '@sinclair/typebox';
import { SECURITY_HEADERS } from '../../../platform/health-server';
import { openChargeLedger, type ChargeLedger, type ChargeRequest } from './charge-ledger';
import { BUYER_ACTIONS, type ChargeRecord } from './charge-record';
import {
  createMisbehaviour,
  isInFraction,
  type Misbehaviour,
  type Operation,
  type Rule,
} from './misbehaviour';
import { createParser, InvalidRequestError, readJson } from './request';
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
 *     POST   /charges/:key/refund
 *     POST   /pay/:token            { action }: what the buyer does, see BUYER_ACTIONS
 *     GET    /ledger
 *     GET    /events?since=<ms>&limit=<n>   what has happened, the oldest first; `next`: since when the next page begins
 *     GET    /livez
 *     GET, PUT, DELETE /misbehaviour
 */
export async function createSimulator({
  ledgerFile,
  declineRate,
  webhooks: receiver,
  onError,
}: {
  /** Created when absent, its folder too. Only one process at a time may use it. */
  readonly ledgerFile: string;
  /** Fraction of keys declined, 0 to 1. */
  readonly declineRate: number;
  /** Who is sent each event; absent: nobody. */
  readonly webhooks?: WebhookReceiver | undefined;
  /** Called with the first error of the simulator itself, such as a full disk; requests that it hits get a 500. */
  readonly onError?: (error: Error) => void;
}) {
  const misbehaviour = createMisbehaviour(declineRate);
  const webhooks = receiver && createWebhooks(receiver, (key) => misbehaviour.take('webhook', key));
  const ledger = await openChargeLedger(ledgerFile, webhooks?.send);
  let pages = '';
  const route = createRouter(ledger, misbehaviour, (token) => `${pages}/pay/${token}`);
  const closing = new AbortController();
  const inFlight = new Set<Promise<void>>();
  let hasFailed = false;

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
        if (!hasFailed) onError?.(new Error('the payment simulator failed', { cause: error }));
        hasFailed = true;
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
      pages = `http://localhost:${bound}`;
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

interface SimulatorResponse {
  readonly status: number;
  readonly body: unknown;
}

/** The work of a request. Misbehaviour applies to work with a target. */
interface Task {
  /** `declineCode` forces a decline. */
  readonly run: (declineCode?: string) => Promise<SimulatorResponse>;
  readonly target?: { readonly operation: Operation; readonly key: string };
}

type Routes = Partial<
  Record<'GET' | 'POST' | 'PUT' | 'DELETE', (request: IncomingMessage) => Task | Promise<Task>>
>;

/**
 * Returns a function that finds the task of a request and reads its body. It throws an InvalidRequestError for an unknown
 * or invalid request.
 */
function createRouter(
  ledger: ChargeLedger,
  misbehaviour: Misbehaviour,
  pageOf: (token: string) => string,
) {
  const charge = async (request: IncomingMessage): Promise<Task> => {
    const wanted = await readCharge(request);
    const { key } = wanted;
    const run: Task['run'] = async (declineCode) => {
      const isUnlucky = isInFraction(key, misbehaviour.declineRate());
      const code = declineCode ?? (isUnlucky ? 'card_declined' : undefined);
      const record = await ledger.charge(wanted, code);
      if (record !== 'conflict') return ok(chargeBody(record));
      return conflict(key);
    };
    return { run, target: { operation: 'charge', key } };
  };
  const open = async (request: IncomingMessage): Promise<Task> => {
    const wanted = await readCharge(request);
    const { key } = wanted;
    const run = async () => {
      const record = await ledger.open(wanted);
      if (record === 'conflict') return conflict(key);
      const { token } = record;
      return ok({ ...chargeBody(record), ...(token !== undefined && { url: pageOf(token) }) });
    };
    return { run, target: { operation: 'checkout', key } };
  };
  const pay = async (token: string, request: IncomingMessage): Promise<Task> => {
    const { action } = parseAction(await readJson(request));
    const run = async () => {
      const record = await ledger.pay(token, action);
      if (record) return ok(chargeBody(record));
      return problem(404, 'unknown-payment', 'There is no such payment.');
    };
    return { run };
  };
  const cancel = (key: string): Task => ({
    target: { operation: 'cancel', key },
    run: async () => ok(chargeBody(await ledger.cancel(key))),
  });
  const find = (key: string): Task => ({
    target: { operation: 'find', key },
    run: async () => {
      const record = await ledger.find(key);
      if (record) return ok(chargeBody(record));
      // Its own type: a client must not take a wrong address for a key that was never seen.
      return problem(404, 'unknown-charge', `${key} was never charged.`);
    },
  });
  const refund = (key: string): Task => ({
    target: { operation: 'refund', key },
    run: async () => {
      const result = await ledger.refund(key);
      if (result !== 'processing') return ok({ key, result });
      return problem(409, 'processing', `The bank has not decided on ${key} yet.`);
    },
  });
  const list = { run: async () => ok((await ledger.list()).map(ledgerRow)) };
  const live = { run: () => Promise.resolve(ok({ live: true })) };
  const show = { run: () => Promise.resolve(ok(misbehaviour.show())) };
  const fixed: Readonly<Record<string, Routes>> = {
    '/charges': { POST: charge },
    '/payments': { POST: open },
    '/ledger': { GET: () => list },
    '/events': { GET: (request) => listEvents(ledger, request) },
    '/livez': { GET: () => live },
    '/misbehaviour': {
      GET: () => show,
      PUT: async (request) => {
        misbehaviour.set(await readJson(request));
        return show;
      },
      DELETE: () => {
        misbehaviour.reset();
        return show;
      },
    },
  };

  const routesOf = (path: string): Routes | undefined => {
    const [, token] = /^\/pay\/([\w-]+)$/.exec(path) ?? [];
    if (token !== undefined) return { POST: (request) => pay(token, request) };
    const [, key, action] = /^\/charges\/([^/]+)(\/refund|\/cancel)?$/.exec(path) ?? [];
    if (key === undefined) return fixed[path];
    if (action === undefined) return { GET: () => find(decodeKey(key)) };
    const change = action === '/refund' ? refund : cancel;
    return { POST: () => change(decodeKey(key)) };
  };
  return (request: IncomingMessage): Task | Promise<Task> => {
    const path = (request.url ?? '').replace(/\?.*$/, '');
    const routes = routesOf(path);
    if (!routes) throw new InvalidRequestError(`There is nothing at ${path}.`, 404);
    const found = Object.entries(routes).find(([method]) => method === request.method)?.[1];
    if (found) return found(request);
    throw new InvalidRequestError(`${path} takes ${Object.keys(routes).join(', ')} only.`, 405);
  };
}

function listEvents(ledger: ChargeLedger, request: IncomingMessage): Task {
  const { searchParams } = new URL(request.url ?? '', 'http://localhost');
  const { since, limit } = parseRange({
    since: Number(searchParams.get('since') ?? 0),
    limit: Number(searchParams.get('limit') ?? EVENTS_LIMIT),
  });
  return { run: async () => ok(await ledger.events(since, limit)) };
}

/** 255: a common limit of providers for an idempotency key. Without blanks a key fits on a line of a log. */
const Key = Type.String({
  pattern: '^[\\x21-\\x7e]{1,255}$',
  description: 'key must be 1 to 255 printable ASCII characters without blanks.',
});
const parseKey = createParser(Key);
const parseCharge = createParser(
  Type.Object(
    {
      key: Key,
      amount: Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'amount must be a whole number of minor units above 0.',
      }),
      currency: Type.String({
        pattern: '^[A-Z]{3}$',
        description: 'currency must be an ISO 4217 code in upper case.',
      }),
      context: Type.Optional(
        Type.Object(
          { requestId: Type.String(), itemId: Type.String(), userId: Type.String() },
          { description: 'context must have the texts requestId, itemId and userId.' },
        ),
      ),
    },
    { description: 'The body must be a JSON object.' },
  ),
);
/** Events of a page, at most and without a limit of its own. */
const EVENTS_LIMIT_MAX = 1_000;
const EVENTS_LIMIT = 100;

const parseRange = createParser(
  Type.Object({
    since: Type.Integer({ minimum: 0, description: 'since must be a time in ms.' }),
    limit: Type.Integer({
      minimum: 1,
      maximum: EVENTS_LIMIT_MAX,
      description: `limit must be a number from 1 to ${EVENTS_LIMIT_MAX}.`,
    }),
  }),
);
const parseAction = createParser(
  Type.Object({
    action: Type.Union(
      BUYER_ACTIONS.map((action) => Type.Literal(action)),
      { description: `action must be one of ${BUYER_ACTIONS.join(', ')}.` },
    ),
  }),
);

/** A charge without what else its body has. */
async function readCharge(request: IncomingMessage): Promise<ChargeRequest> {
  const { key, amount, currency, context } = parseCharge(await readJson(request));
  return { key, amount, currency, ...(context && { context }) };
}

function decodeKey(raw: string): string {
  let key: string;
  try {
    key = decodeURIComponent(raw);
  } catch {
    throw new InvalidRequestError(`The key in the path is not encoded as in a URL: ${raw}`);
  }
  return parseKey(key);
}

function chargeBody({ key, status, payment_id, code, amount, currency }: ChargeRecord) {
  const detail = status === 'captured' ? { payment_id } : { code };
  return { key, status, ...detail, amount, currency };
}

function ledgerRow({ key, status, amount, currency, payment_id, at }: ChargeRecord) {
  return { key, status, amount, currency, payment_id, at };
}

function conflict(key: string): SimulatorResponse {
  const detail = `${key} has another amount or currency, or its buyer can still pay it.`;
  return problem(409, 'conflict', detail);
}

function ok(body: unknown): SimulatorResponse {
  return { status: 200, body };
}

/** An error response as in RFC 9457. */
function problem(status: number, type: string, detail: string): SimulatorResponse {
  return { status, body: { type, title: type.replaceAll('-', ' '), status, detail } };
}

/** Runs a task under a rule. `hang`: no response, ever. `drop`: no response, and the connection is closed. */
async function misbehave(
  rule: Rule,
  run: Task['run'],
  closing: AbortSignal,
): Promise<SimulatorResponse | 'hang' | 'drop'> {
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
    // Of webhooks only: no request is hit by them.
    case 'lost':
    case 'forged':
    case 'reordered':
      return run();
  }
}

/** Resolves when the response is handed over or the caller is gone. */
function send(response: ServerResponse, { status, body }: SimulatorResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  // After a body that was too large, the rest of it still arrives: the next request needs a new connection.
  const connection = status === 413 ? { connection: 'close' } : {};
  return new Promise((resolve) => {
    response
      .once('close', resolve)
      .writeHead(status, { ...SECURITY_HEADERS, 'content-type': type, ...connection })
      .end(JSON.stringify(body));
  });
}
