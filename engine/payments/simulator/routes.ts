import type { IncomingMessage } from 'node:http';
import { isDeclined, type ChargeLedger, type ChargeRecord } from './charge-ledger';
import type { Misbehaviour, Operation } from './misbehaviour';
import { Invalid, parseCharge, parseKey, readJson } from './request';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** What to do for a request. One with an operation and a key is subject to misbehaviour. */
export interface Task {
  /** `declineCode` forces a decline. */
  readonly run: (declineCode?: string) => Promise<Answer>;
  readonly target?: { readonly operation: Operation; readonly key: string };
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
type Routes = Partial<Record<Method, (request: IncomingMessage) => Task | Promise<Task>>>;

/**
 * Finds the task of a request, reading its body where it has one.
 *
 *     POST   /charges               { key, amount, currency, context? }
 *     GET    /charges/:key
 *     POST   /charges/:key/refund
 *     GET    /ledger
 *     GET    /livez
 *     GET, PUT, DELETE /misbehaviour
 *
 * Throws Invalid for a request that is not one of these.
 */
export async function findTask(
  request: IncomingMessage,
  ledger: ChargeLedger,
  misbehaviour: Misbehaviour,
): Promise<Task> {
  const path = (request.url ?? '').replace(/\?.*$/, '');
  const routes = routesOf(path, ledger, misbehaviour);
  if (!routes) throw new Invalid(`There is nothing at ${path}.`, 404);
  const route = Object.entries(routes).find(([method]) => method === request.method)?.[1];
  if (!route) {
    throw new Invalid(`${path} takes ${Object.keys(routes).join(', ')} only.`, 405);
  }
  return route(request);
}

function routesOf(path: string, ledger: ChargeLedger, misbehaviour: Misbehaviour) {
  const [, key, action] = /^\/charges\/([^/]+)(\/refund)?$/.exec(path) ?? [];
  if (key !== undefined) {
    return action === undefined
      ? { GET: () => findCharge(decodeKey(key), ledger) }
      : { POST: () => refund(decodeKey(key), ledger) };
  }
  const shown = () => Promise.resolve(ok(misbehaviour.show()));
  const fixed: Record<string, Routes> = {
    '/charges': { POST: (request) => charge(request, ledger, misbehaviour) },
    '/ledger': {
      GET: () => ({ run: async () => ok((await ledger.list()).map(ledgerRow)) }),
    },
    '/livez': { GET: () => ({ run: () => Promise.resolve(ok({ live: true })) }) },
    '/misbehaviour': {
      GET: () => ({ run: shown }),
      PUT: async (request) => {
        misbehaviour.set(await readJson(request));
        return { run: shown };
      },
      DELETE: () => {
        misbehaviour.reset();
        return { run: shown };
      },
    },
  };
  return fixed[path];
}

async function charge(
  request: IncomingMessage,
  ledger: ChargeLedger,
  misbehaviour: Misbehaviour,
): Promise<Task> {
  const wanted = parseCharge(await readJson(request));
  return {
    target: { operation: 'charge', key: wanted.key },
    run: async (declineCode) => {
      const unlucky = isDeclined(wanted.key, misbehaviour.declineRate());
      const record = await ledger.charge(
        wanted,
        declineCode ?? (unlucky ? 'card_declined' : undefined),
      );
      if (record !== 'conflict') return ok(chargeBody(record));
      return problem(
        409,
        'conflict',
        `${wanted.key} names a charge of another amount or currency.`,
      );
    },
  };
}

function findCharge(key: string, ledger: ChargeLedger): Task {
  return {
    target: { operation: 'find', key },
    run: async () => {
      const record = await ledger.find(key);
      if (record) return ok(chargeBody(record));
      // A type of its own: a client must not take a mistyped address for a key that was never seen.
      return problem(404, 'unknown-charge', `${key} was never charged.`);
    },
  };
}

function refund(key: string, ledger: ChargeLedger): Task {
  return {
    target: { operation: 'refund', key },
    run: async () => ok({ key, result: await ledger.refund(key) }),
  };
}

function decodeKey(raw: string): string {
  try {
    return parseKey(decodeURIComponent(raw));
  } catch (error) {
    if (error instanceof Invalid) throw error;
    throw new Invalid(`The key in the path is not encoded as in a URL: ${raw}`);
  }
}

function chargeBody({ key, status, payment_id, code }: ChargeRecord) {
  return status === 'captured' ? { key, status, payment_id } : { key, status, code };
}

function ledgerRow({ key, status, amount, currency, at }: ChargeRecord) {
  return { key, status, amount, currency, at };
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

/** An error answer in the form of RFC 9457. */
export function problem(status: number, type: string, detail: string): Answer {
  return { status, body: { type, title: type.replaceAll('-', ' '), status, detail } };
}
