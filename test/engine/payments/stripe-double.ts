/*
  A small Stripe: as much of PaymentIntents, refunds, search and idempotency keys as the adapter relies on,
  written from Stripe's API reference, over real HTTP. It differs from Stripe in this: requests are handled
  one after the other, so there is never a lock time-out or an idempotency key in use; it refuses only what
  is named here; and it declines whom it is told to. Given the address of a stripe-mock, every request is
  shown to that first: what its schema refuses is refused.
*/
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Intent {
  readonly id: string;
  status:
    'requires_payment_method' | 'requires_confirmation' | 'succeeded' | 'canceled' | 'processing';
  payment_method: string | null;
  amount: number;
  currency: string;
  readonly metadata: Record<string, string>;
  last_payment_error: { code: string; decline_code: string } | null;
  latest_charge: {
    status: 'succeeded' | 'pending' | 'failed';
    refunded: boolean;
    failure_code: string | null;
    outcome: { reason: string } | null;
  } | null;
}

type Fault = 'lose-answer' | 'fail' | 'process' | 'refuse';

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

interface Call {
  readonly route: string;
  readonly id: string;
  readonly form: URLSearchParams;
}

/** Starts the double on a free port. `mockUrl` is a stripe-mock's base URL. */
export async function startStripeDouble(mockUrl?: string) {
  const intents = new Map<string, Intent>();
  const replies = new Map<string, { readonly request: string; readonly reply: Reply }>();
  const declines = new Map<string, string>();
  const faults: { route: string; kind: Fault }[] = [];
  const requests: string[] = [];
  let searchLags = false;

  const indexed = new Set<Intent>();
  const handle = ({ route, id, form }: Call): Reply => {
    const intent = intents.get(id);
    if (id !== '' && !intent) return refusal(404, 'invalid_request_error', 'resource_missing');
    switch (route) {
      case 'POST /v1/payment_intents':
        return ok(create(form));
      case 'POST /v1/payment_intents/:id':
        return intent ? update(intent, form) : ok(intent);
      case 'GET /v1/payment_intents/:id':
        return ok(intent);
      case 'POST /v1/payment_intents/:id/confirm':
        return intent ? confirm(intent) : ok(intent);
      case 'POST /v1/payment_intents/:id/cancel':
        return intent ? cancel(intent) : ok(intent);
      case 'GET /v1/payment_intents/search':
        return ok({ object: 'search_result', has_more: false, data: search(form) });
      case 'POST /v1/refunds':
        return refund(intents.get(form.get('payment_intent') ?? ''));
      default:
        return refusal(404, 'invalid_request_error', 'unknown_route');
    }
  };
  const create = (form: URLSearchParams): Intent => {
    const intent: Intent = {
      id: `pi_${intents.size + 1}`,
      status: 'requires_payment_method',
      amount: Number(form.get('amount')),
      currency: form.get('currency') ?? '',
      metadata: metadataOf(form),
      payment_method: null,
      last_payment_error: null,
      latest_charge: null,
    };
    intents.set(intent.id, intent);
    if (!searchLags) indexed.add(intent);
    return intent;
  };
  const update = (intent: Intent, form: URLSearchParams): Reply => {
    if (!isOpen(intent)) return unexpectedState();
    const method = form.get('payment_method');
    const refused = REFUSED_METHODS.get(method ?? '');
    if (refused)
      return { status: 400, body: { error: { type: 'invalid_request_error', ...refused } } };
    const amount = Number(form.get('amount'));
    if (amount < AMOUNT_MIN) {
      return refusal(400, 'invalid_request_error', 'amount_too_small', 'amount');
    }
    intent.last_payment_error = null;
    intent.amount = amount;
    intent.currency = form.get('currency') ?? '';
    intent.payment_method = method;
    if (method !== null) intent.status = 'requires_confirmation';
    Object.assign(intent.metadata, metadataOf(form));
    return ok(intent);
  };
  const confirm = (intent: Intent): Reply => {
    if (intent.status !== 'requires_confirmation') return unexpectedState();
    const code = declines.get(intent.metadata['payment_key'] ?? '');
    if (code !== undefined) {
      intent.last_payment_error = { code: 'card_declined', decline_code: code };
      intent.status = 'requires_payment_method';
      intent.payment_method = null;
      if (code !== 'authentication_required') {
        const failure = { failure_code: 'card_declined', outcome: { reason: code } };
        intent.latest_charge = { status: 'failed', refunded: false, ...failure };
      }
      const error = { type: 'card_error', ...intent.last_payment_error, message: 'declined' };
      return { status: 402, body: { error } };
    }
    const processing = takeFault('POST /v1/payment_intents/:id/confirm', 'process');
    intent.status = processing ? 'processing' : 'succeeded';
    intent.latest_charge = {
      status: processing ? 'pending' : 'succeeded',
      refunded: false,
      failure_code: null,
      outcome: null,
    };
    return ok(intent);
  };
  const cancel = (intent: Intent): Reply => {
    if (!isOpen(intent)) return unexpectedState();
    intent.status = 'canceled';
    return ok(intent);
  };
  const refund = (intent: Intent | undefined): Reply => {
    if (intent?.latest_charge?.refunded !== false) {
      return refusal(400, 'invalid_request_error', 'charge_already_refunded');
    }
    intent.latest_charge.refunded = true;
    return ok({ id: `re_${intent.id}`, object: 'refund', status: 'succeeded' });
  };
  const search = (form: URLSearchParams) => {
    const wanted = /^metadata\['payment_key'\]:'(.*)'$/.exec(form.get('query') ?? '')?.[1];
    return [...indexed].filter(
      ({ metadata }) => metadata['payment_key']?.toLowerCase() === wanted?.toLowerCase(),
    );
  };
  const takeFault = (route: string, kind: (typeof faults)[number]['kind']): boolean => {
    const index = faults.findIndex((fault) => fault.route === route && fault.kind === kind);
    if (index >= 0) faults.splice(index, 1);
    return index >= 0;
  };

  const answer = async (request: IncomingMessage, body: string) => {
    const url = new URL(request.url ?? '', 'http://double');
    const refused = mockUrl === undefined ? undefined : await askMock(mockUrl, request, url, body);
    if (refused) return { ...refused, replayed: false };
    const call = parseCall(request.method ?? '', url, body);
    requests.push(call.route);
    const idempotencyKey = request.headers['idempotency-key'];
    const text = `${request.method ?? ''} ${url.pathname} ${body}`;
    const earlier = replies.get(String(idempotencyKey));
    if (earlier && earlier.request !== text) {
      return { ...refusal(400, 'idempotency_error', 'idempotency_error'), replayed: false };
    }
    if (earlier) return { ...earlier.reply, replayed: true };
    const failing = takeFault(call.route, 'fail');
    const refusing = takeFault(call.route, 'refuse');
    const live = failing
      ? refusal(500, 'api_error', 'api_error')
      : refusing
        ? refusal(400, 'invalid_request_error', 'testmode_charges_only')
        : handle(call);
    // A copy: the answer that is kept must not change with its intent.
    const reply = structuredClone(live);
    if (idempotencyKey !== undefined) replies.set(String(idempotencyKey), { request: text, reply });
    if (takeFault(call.route, 'lose-answer')) return undefined;
    return { ...reply, replayed: false };
  };

  const server = createServer((request, response) => {
    void readText(request)
      .then((body) => answer(request, body))
      .then((reply) => {
        if (!reply) return;
        const replay = reply.replayed ? { 'idempotent-replayed': 'true' } : {};
        response
          .writeHead(reply.status, { 'content-type': 'application/json', ...replay })
          .end(JSON.stringify(reply.body));
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Every request so far, as method and route. */
    requests,
    intents: () => [...intents.values()],
    decline: (key: string, code: string) => void declines.set(key, code),
    acceptAll: () => {
      declines.clear();
    },
    /** The next request to a route takes effect and is not answered, fails with 500, stays undecided, or is the account's fault. */
    breakNext: (route: string, kind: Fault) => void faults.push({ route, kind }),
    /** What happens to idempotency keys after a day. */
    forgetKeys: () => {
      replies.clear();
    },
    /** From now on search does not see new intents. */
    letSearchLag: () => {
      searchLags = true;
    },
    moneyHeld: (key: string) =>
      [...intents.values()]
        .filter(({ metadata, status, latest_charge: charge }) => {
          const taken = status === 'succeeded' || status === 'processing';
          return metadata['payment_key'] === key && taken && charge?.refunded === false;
        })
        .reduce((sum, { amount }) => sum + amount, 0),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** As Stripe has it for USD. */
const AMOUNT_MIN = 50;

/** What Stripe says of payment methods that it knows nothing of, that were detached, that need their customer, and of accounts. */
const REFUSED_METHODS = new Map<string, { code?: string; param?: string }>([
  ['pm_unknown', { code: 'resource_missing', param: 'payment_method' }],
  ['pm_detached', {}],
  ['pm_of_a_customer', { code: 'parameter_missing', param: 'payment_method' }],
  ['pm_unactivated', { code: 'payment_method_unactivated', param: 'payment_method' }],
]);

function isOpen({ status }: Intent): boolean {
  return status === 'requires_payment_method' || status === 'requires_confirmation';
}

function parseCall(method: string, url: URL, body: string): Call {
  const [, id = '', action = ''] =
    /^\/v1\/payment_intents\/(pi_[^/]+)(\/\w+)?$/.exec(url.pathname) ?? [];
  const path = id === '' ? url.pathname : `/v1/payment_intents/:id${action}`;
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

function metadataOf(form: URLSearchParams): Record<string, string> {
  const entries = [...form].flatMap(([name, value]) => {
    const field = /^metadata\[(\w+)\]$/.exec(name)?.[1];
    return field === undefined ? [] : [[field, value] as const];
  });
  return Object.fromEntries(entries);
}

function ok(body: unknown): Reply {
  return { status: 200, body };
}

function unexpectedState(): Reply {
  return refusal(400, 'invalid_request_error', 'payment_intent_unexpected_state');
}

function refusal(status: number, type: string, code: string, param?: string): Reply {
  return { status, body: { error: { type, code, param, message: `refused: ${code}` } } };
}
