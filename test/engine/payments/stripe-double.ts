/*
  A small Stripe: as much of PaymentIntents, refunds, disputes, events, search, idempotency keys and rate limits as the
  adapter relies on, over real HTTP, with buyers who pay from their page and webhooks. It differs from Stripe in this: requests
  are handled one after the other, so there is never a lock time-out or an idempotency key in use; what it refuses and
  declines is named in stripe-account.ts. Given the address of a stripe-mock, every request of the account is shown to that
  first: what its schema refuses is refused.
*/
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createStripeAccount,
  ok,
  refusal,
  signWebhook,
  type AccountEvent,
  type Intent,
  type Reply,
} from './stripe-account';

type Fault = 'lose-answer' | 'fail' | 'process' | 'refuse';

interface Call {
  readonly route: string;
  readonly id: string;
  readonly form: URLSearchParams;
}

const IDEMPOTENCY_MS = 24 * 3_600_000;
const CONFIRM = 'POST /v1/payment_intents/:id/confirm';

/** Starts the double on a free port. `mockUrl` is a stripe-mock's base URL. */
export async function startStripeDouble(mockUrl?: string) {
  let clockMs = 0;
  const now = () => Date.now() + clockMs;
  const account = createStripeAccount(now);
  const replies = new Map<string, { request: string; reply: Reply; at: number }>();
  const faults: { route: string; kind: Fault }[] = [];
  const requests: string[] = [];
  const limit = { perSecond: Infinity, retryAfter: '', second: 0, used: 0, refused: 0 };
  const indexed = new Set<Intent>();
  let searchLags = false;

  const handle = ({ route, id, form }: Call): Reply => {
    const intent = account.intents.get(id);
    switch (route) {
      case 'POST /v1/payment_intents': {
        const created = account.create(form);
        if (!searchLags) indexed.add(created);
        return shown(ok(created), form);
      }
      case 'GET /v1/payment_intents/search':
        return ok({ object: 'search_result', has_more: false, data: search(form) });
      case 'POST /v1/refunds':
        return account.refund(form);
      case 'GET /v1/refunds':
        return ok(pageOf(ofPayment(account.refunds, form), form));
      case 'GET /v1/disputes':
        return ok(pageOf(ofPayment(account.disputes, form), form));
      case 'GET /v1/events':
        return ok(pageOf(listed(account.visibleEvents(), form), form));
      case 'GET /v1/refunds/:id': {
        const refund = account.refunds.find((one) => one.id === id);
        return refund ? ok(refund) : refusal(404, 'invalid_request_error', 'resource_missing');
      }
      default:
    }
    if (!intent) return refusal(404, 'invalid_request_error', 'resource_missing');
    switch (route) {
      case 'POST /v1/payment_intents/:id':
        return shown(account.update(intent, form), form);
      case 'GET /v1/payment_intents/:id':
        return shown(ok(intent), form);
      case CONFIRM:
        return shown(account.confirm(intent, form, takeFault(CONFIRM, 'process')), form);
      case 'POST /v1/payment_intents/:id/cancel':
        return shown(account.cancel(intent), form);
      default:
        return refusal(404, 'invalid_request_error', 'unknown_route');
    }
  };
  const search = (form: URLSearchParams) => {
    const wanted = /^metadata\['payment_key'\]:'(.*)'$/.exec(form.get('query') ?? '')?.[1];
    return [...indexed].filter(
      ({ metadata }) => metadata['payment_key']?.toLowerCase() === wanted?.toLowerCase(),
    );
  };
  const takeFault = (route: string, kind: Fault): boolean => {
    const index = faults.findIndex((fault) => fault.route === route && fault.kind === kind);
    if (index >= 0) faults.splice(index, 1);
    return index >= 0;
  };
  const isLimited = () => {
    const second = Math.floor(Date.now() / 1_000);
    if (second !== limit.second) Object.assign(limit, { second, used: 0 });
    if (++limit.used <= limit.perSecond) return false;
    limit.refused++;
    return true;
  };

  const answer = async (request: IncomingMessage, body: string) => {
    const url = new URL(request.url ?? '', 'http://double');
    const call = parseCall(request.method ?? '', url, body);
    // Not kept under the idempotency key: the request has no effect.
    if (isLimited()) return { ...refusal(429, 'invalid_request_error', 'rate_limit') };
    // A buyer's page has no secret key, and its parameters are the page's.
    const mayAsk = mockUrl !== undefined && !call.form.has('client_secret');
    const refused = mayAsk ? await askMock(mockUrl, request, url, body) : undefined;
    if (refused) return { ...refused };
    requests.push(call.route);
    const idempotencyKey = request.headers['idempotency-key'];
    const text = `${request.method ?? ''} ${url.pathname} ${body}`;
    const earlier = replies.get(String(idempotencyKey));
    if (earlier && now() - earlier.at < IDEMPOTENCY_MS) {
      return earlier.request === text
        ? { ...earlier.reply, replayed: true }
        : { ...refusal(400, 'idempotency_error', 'idempotency_error') };
    }
    const live = takeFault(call.route, 'fail')
      ? refusal(500, 'api_error', 'api_error')
      : takeFault(call.route, 'refuse')
        ? refusal(400, 'invalid_request_error', 'testmode_charges_only')
        : handle(call);
    // A copy: the answer that is kept must not change with its intent.
    const reply = structuredClone(live);
    if (idempotencyKey !== undefined) {
      replies.set(String(idempotencyKey), { request: text, reply, at: now() });
    }
    if (takeFault(call.route, 'lose-answer')) return undefined;
    return { ...reply, replayed: false };
  };

  const server = createServer((request, response) => {
    void readText(request)
      .then((body) => answer(request, body))
      .then((reply: (Reply & { readonly replayed?: boolean }) | undefined) => {
        if (!reply) return;
        const replay = reply.replayed ? { 'idempotent-replayed': 'true' } : {};
        const wait =
          reply.status === 429 && limit.retryAfter !== ''
            ? { 'retry-after': limit.retryAfter }
            : {};
        response
          .writeHead(reply.status, { 'content-type': 'application/json', ...replay, ...wait })
          .end(JSON.stringify(reply.body));
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    ...account,
    url,
    /** Every request that was not limited, as method and route. */
    requests,
    intents: () => [...account.intents.values()],
    refunds: () => account.refunds,
    /** The next request to a route takes effect and is not answered, fails with 500, stays undecided, or is the account's fault. */
    breakNext: (route: string, kind: Fault) => void faults.push({ route, kind }),
    /** Moves the double's clock, by which Stripe forgets idempotency keys after 24 hours. */
    moveClock: (ms: number) => {
      clockMs += ms;
    },
    /** What happens to idempotency keys after a day. */
    forgetKeys: () => {
      replies.clear();
    },
    /** From now on search does not see new intents. */
    letSearchLag: () => {
      searchLags = true;
    },
    /** From now on more requests a second get a 429, and the header where there is one. */
    limitTo: (perSecond: number, retryAfter = '') => {
      Object.assign(limit, { perSecond, retryAfter });
    },
    /** How many requests got a 429. */
    limited: () => limit.refused,
    /** What the buyer's page does, as Stripe.js: it confirms with the client secret. Returns the status of the answer. */
    payWithCard: async (clientSecret: string, paymentMethod: string): Promise<number> => {
      const [id = ''] = clientSecret.split('_secret_');
      const form = { key: 'pk_test_1', client_secret: clientSecret, payment_method: paymentMethod };
      const paid = await fetch(`${url}/v1/payment_intents/${id}/confirm`, {
        method: 'POST',
        body: new URLSearchParams(form),
      });
      return paid.status;
    },
    /** Sends each event from now on to a webhook endpoint, signed. `copies` may double an event, or drop it. */
    sendWebhooksTo: (
      endpoint: string,
      secret: string,
      copies: (event: AccountEvent) => number = () => 1,
    ) => {
      account.onEvent((event) => {
        const { body, headers: signed } = signWebhook(JSON.stringify(event), secret, Date.now());
        const headers = { 'content-type': 'application/json', ...signed };
        for (let copy = copies(event); copy > 0; copy--) {
          // A lost webhook is the receiver's to survive.
          void fetch(endpoint, { method: 'POST', headers, body }).catch(() => undefined);
        }
      });
    },
    moneyHeld: (key: string) =>
      [...account.intents.values()]
        .filter(({ metadata, status }) => {
          const taken = status === 'succeeded' || status === 'processing';
          return metadata['payment_key'] === key && taken;
        })
        .reduce((sum, { amount, latest_charge: charge }) => {
          return sum + amount - (charge?.amount_refunded ?? 0);
        }, 0),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** The charge of an intent is an id, unless it is asked for. */
function shown(reply: Reply, form: URLSearchParams): Reply {
  const { latest_charge: charge } = reply.body as Partial<Intent>;
  const expands = [...form].some(
    ([name, value]) => /^expand\b/.test(name) && value === 'latest_charge',
  );
  if (!charge || expands) return reply;
  return { ...reply, body: { ...(reply.body as Intent), latest_charge: charge.id } };
}

function ofPayment<T extends { readonly payment_intent: string }>(
  all: readonly T[],
  form: URLSearchParams,
): T[] {
  return all.filter((one) => one.payment_intent === form.get('payment_intent')).reverse();
}

function listed(events: readonly AccountEvent[], form: URLSearchParams): AccountEvent[] {
  const types = [...form].filter(([name]) => name.startsWith('types')).map(([, value]) => value);
  const from = Number(form.get('created[gte]') ?? 0);
  const before = Number(form.get('created[lt]') ?? Infinity);
  return events.filter(
    ({ type, created }) => types.includes(type) && created >= from && created < before,
  );
}

/** A page of what is listed, the newest first. */
function pageOf<T extends { readonly id: string }>(all: readonly T[], form: URLSearchParams) {
  const after = all.findIndex(({ id }) => id === form.get('starting_after')) + 1;
  const data = all.slice(after, after + Number(form.get('limit') ?? 10));
  return { object: 'list', has_more: after + data.length < all.length, data };
}

function parseCall(method: string, url: URL, body: string): Call {
  const [, kind = '', id = '', action = ''] =
    /^\/v1\/(\w+)\/((?:pi|re)_[^/]+)(\/\w+)?$/.exec(url.pathname) ?? [];
  const path = id === '' ? url.pathname : `/v1/${kind}/:id${action}`;
  const form = method === 'GET' ? url.searchParams : new URLSearchParams(body);
  return { route: `${method} ${path}`, id, form };
}

/** What stripe-mock refuses in the request, undefined if nothing. */
async function askMock(mockUrl: string, request: IncomingMessage, url: URL, body: string) {
  const { authorization = '', 'content-type': type } = request.headers;
  const response = await fetch(`${mockUrl}${url.pathname}${url.search}`, {
    method: request.method ?? '',
    headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) },
    ...(body === '' ? {} : { body }),
  });
  const reply: Reply = { status: response.status, body: await response.json() };
  return response.ok ? undefined : reply;
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
