import type { IncomingMessage } from 'node:http';
import { Type } from '@sinclair/typebox';
import type { ChargeLedger } from '../ledger/charge-ledger';
import type { ChargeRecord } from '../ledger/charge-record';
import { refundedOf } from '../ledger/returns';
import type { Misbehaviour } from '../misbehaviour';
import { createChargeTasks, decodeKey } from './charges';
import { paymentPage, walkedAwayPage } from './page';
import { createParser, InvalidRequestError, readJson } from './request';
import { ok, type Task } from './response';
import { createReturnTasks } from './returns';

type Routes = Partial<
  Record<'GET' | 'POST' | 'PUT' | 'DELETE', (request: IncomingMessage) => Task | Promise<Task>>
>;

/**
 * Returns a function that finds the task of a request and reads its body. It throws an InvalidRequestError for an unknown
 * or invalid request.
 */
export function createRouter({
  ledger,
  misbehaviour,
  pageOf,
  later,
}: {
  readonly ledger: ChargeLedger;
  readonly misbehaviour: Misbehaviour;
  /** The URL of a payment's page. */
  readonly pageOf: (token: string) => string;
  /** Does something after a time, unless the simulator has ended by then. */
  readonly later: (ms: number, work: () => Promise<unknown>) => void;
}) {
  const charges = createChargeTasks(ledger, misbehaviour, pageOf);
  const returns = createReturnTasks(ledger, later);
  const list = { run: async () => ok((await ledger.list()).map(ledgerRow)) };
  const live = { run: () => Promise.resolve(ok({ live: true })) };
  const show = { run: () => Promise.resolve(ok(misbehaviour.show())) };
  const fixed: Readonly<Record<string, Routes>> = {
    '/charges': { POST: charges.charge },
    '/payments': { POST: charges.open },
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
    const [, token, left] = /^\/pay\/([\w-]+)(\/left)?$/.exec(path) ?? [];
    if (token !== undefined && left) return { GET: () => charges.page(token, walkedAwayPage) };
    if (token !== undefined) {
      return {
        GET: () => charges.page(token, paymentPage),
        POST: (request) => charges.pay(token, request),
      };
    }
    const [, raw, action = ''] =
      /^\/charges\/([^/]+)(?:\/(cancel|refund|refunds|refunds\/[\w-]+|returns|dispute|dispute\/close))?$/.exec(
        path,
      ) ?? [];
    if (raw === undefined) return fixed[path];
    const [, refundId] = /^refunds\/(.*)$/.exec(action) ?? [];
    if (refundId !== undefined) {
      return { POST: (request) => returns.decideRefund(decodeKey(raw), refundId, request) };
    }
    return ofCharge(action, raw);
  };
  const ofCharge = (action: string, raw: string): Routes => {
    switch (action) {
      case 'cancel':
        return { POST: () => charges.cancel(decodeKey(raw)) };
      case 'refund':
        return { POST: () => charges.refund(decodeKey(raw)) };
      case 'refunds':
        return { POST: (request) => returns.refundSale(decodeKey(raw), request) };
      case 'returns':
        return { GET: () => returns.list(decodeKey(raw)) };
      case 'dispute':
        return { POST: (request) => returns.dispute(decodeKey(raw), request) };
      case 'dispute/close':
        return { POST: (request) => returns.closeDispute(decodeKey(raw), request) };
      default:
        return { GET: () => charges.find(decodeKey(raw)) };
    }
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
function ledgerRow(record: ChargeRecord) {
  const { key, status, amount, currency, payment_id, at } = record;
  const refunded = refundedOf(record);
  const dispute = record.disputes?.at(-1)?.status;
  return {
    key,
    status,
    amount,
    currency,
    payment_id,
    at,
    ...(refunded > 0 && { refunded }),
    ...(dispute && { dispute }),
  };
}
