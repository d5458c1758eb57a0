import Stripe from 'stripe';
import { Agent, request } from 'undici';
import type {
  AfterSaleProvider,
  Charge,
  ChargeResult,
  CheckoutProvider,
  DisputeState,
  FoundCharge,
  PaymentEvent,
  PaymentEvents,
  PaymentHint,
  PaymentProvider,
  PendingPayment,
  RefundState,
} from './payment-provider';
import { InvalidWebhookError } from './payment-provider';

/** Below the 10 s of an activity attempt, so that the process reports a silent provider before the server gives up on it. */
const TIMEOUT_MS = 8_000;

/**
 * The payment provider behind the simulator's HTTP interface. `timeoutMs` bounds a request with its response. Connections
 * are kept. Every method throws, with the cause, unless it got a definite result: after a timeout, a lost connection, a
 * redirection, a 4xx, a 5xx or an unreadable response the outcome is open.
 */
export function createHttpPaymentProvider({
  baseUrl,
  webhookSecret,
  timeoutMs = TIMEOUT_MS,
}: {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  /** Absent: no webhook is believed. */
  readonly webhookSecret?: string | undefined;
  readonly timeoutMs?: number;
}): PaymentProvider & CheckoutProvider & AfterSaleProvider & PaymentEvents {
  // A charge cost 1.4 ms of CPU with fetch, which wraps this client.
  const dispatcher = new Agent();
  const send = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<Reply> => {
    const call = `${method} ${path}`;
    try {
      const response = await request(`${baseUrl}${path}`, {
        method,
        dispatcher,
        // Also ends the reading of the body, for a provider that stops in the middle of its response.
        signal: AbortSignal.timeout(timeoutMs),
        ...(body !== undefined && {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      });
      return { call, status: response.statusCode, text: await response.body.text() };
    } catch (error) {
      throw new Error(`The payment provider gave no answer to ${call}`, { cause: error });
    }
  };

  return {
    async charge(charge) {
      const reply = await send('POST', '/charges', bodyOf(charge));
      const result = parseState(charge.key, reply);
      if (result.kind === 'pending') throw unreadable(reply);
      return result;
    },

    async checkout(charge) {
      const reply = await send('POST', '/payments', bodyOf(charge));
      const found = parseFound(charge.key, reply);
      if (found.kind !== 'pending') return found;
      const { url } = fieldsOf(reply);
      if (typeof url !== 'string') throw unreadable(reply);
      return { kind: 'pending', page: { provider: 'simulator', url } };
    },

    async cancel(key) {
      const reply = await send('POST', `/charges/${encodeURIComponent(key)}/cancel`);
      const found = parseFound(key, reply);
      // Still open: nothing was cancelled.
      if (fieldsOf(reply)['status'] === 'open') throw unreadable(reply);
      return found;
    },

    async find(key) {
      const reply = await send('GET', `/charges/${encodeURIComponent(key)}`);
      // A 404 without this type may come from a wrong address or a proxy.
      if (reply.status === 404 && fieldsOf(reply)['type'] === 'unknown-charge') return undefined;
      return parseFound(key, reply);
    },

    async refund(key) {
      const reply = await send('POST', `/charges/${encodeURIComponent(key)}/refund`);
      const { result } = okFields(key, reply);
      if (result === 'refunded' || result === 'nothing') return result;
      throw unreadable(reply);
    },

    async refundSale({ key, refundKey, amountMinor, currency }) {
      const body = { refund_key: refundKey, amount: amountMinor, currency };
      const reply = await send('POST', `/charges/${encodeURIComponent(key)}/refunds`, body);
      const { refund, refused } = okFields(key, reply);
      if (typeof refused === 'string') return { kind: 'refused', code: refused };
      return readRefund(refund, reply);
    },

    async returns(key) {
      const reply = await send('GET', `/charges/${encodeURIComponent(key)}/returns`);
      const { refunds, disputes } = okFields(key, reply);
      if (!Array.isArray(refunds) || !Array.isArray(disputes)) throw unreadable(reply);
      return {
        refunds: refunds.map((refund) => readRefund(refund, reply)),
        disputes: disputes.map((dispute) => readDispute(dispute, reply)),
      };
    },

    readWebhook: (body, header) =>
      new Promise((resolve) => {
        resolve(readWebhook(body, header('webhook-signature') ?? '', webhookSecret));
      }),

    async listEvents(since) {
      const reply = await send('GET', `/events?since=${since}`);
      checkOk(reply);
      const { events, next } = fieldsOf(reply);
      if (!Array.isArray(events)) throw unreadable(reply);
      const read = events.map(readEvent).filter((event) => event !== undefined);
      const isNext = next === undefined || (typeof next === 'number' && next > since);
      if (read.length < events.length || !isNext) throw unreadable(reply);
      return { events: read, ...(next !== undefined && { next }) };
    },
  };
}

/** The simulator signs as Stripe does, and Stripe's own code checks it: not older than 300 s, which a replay would be. */
function readWebhook(body: Buffer, signature: string, secret: string | undefined): PaymentEvent {
  if (secret === undefined) throw new InvalidWebhookError('Webhooks are not configured');
  let signed: unknown;
  try {
    signed = Stripe.webhooks.constructEvent(body, signature, secret);
  } catch (error) {
    const message = 'The signature is missing, wrong or too old, or the body is not JSON';
    throw new InvalidWebhookError(message, { cause: error });
  }
  const event = readEvent(signed);
  if (!event) throw new InvalidWebhookError('The body is no event');
  return event;
}

const HINTS: Readonly<Record<string, PaymentHint['kind']>> = {
  'payment.paid': 'paid',
  'payment.cancelled': 'ended',
  'refund.pending': 'returns',
  'refund.succeeded': 'returns',
  'refund.failed': 'returns',
  'dispute.opened': 'returns',
  'dispute.closed': 'returns',
};

/** Undefined: it is no event. One of an unknown type, or of a charge whose order is not known, has no hint. */
function readEvent(value: unknown): PaymentEvent | undefined {
  const { id, at, type, key, context } = asObject(value);
  const isEvent = typeof id === 'string' && typeof at === 'number' && typeof type === 'string';
  if (!isEvent) return undefined;
  const { requestId, itemId } = asObject(context);
  const kind = Object.hasOwn(HINTS, type) ? HINTS[type] : undefined;
  const isHint =
    typeof key === 'string' && typeof requestId === 'string' && typeof itemId === 'string';
  return { id, at, ...(kind && isHint && { hint: { kind, key, requestId, itemId } }) };
}

interface Reply {
  /** Method and path, for error messages. */
  readonly call: string;
  readonly status: number;
  readonly text: string;
}

function bodyOf({ key, amountMinor, currency, context }: Charge) {
  return { key, amount: amountMinor, currency, context };
}

const PENDING = ['open', 'processing'];
const DECLINED = ['declined', 'cancelled', 'refunded', 'blocked'];

function parseState(key: string, reply: Reply): ChargeResult | PendingPayment {
  checkOk(reply);
  const { key: answered, status, payment_id: paymentId, code } = fieldsOf(reply);
  if (answered !== key || typeof status !== 'string') throw unreadable(reply);
  if (status === 'captured' && typeof paymentId === 'string') return { kind: 'charged', paymentId };
  if (DECLINED.includes(status) && typeof code === 'string') return { kind: 'declined', code };
  if (PENDING.includes(status)) return { kind: 'pending' };
  throw unreadable(reply);
}

function parseFound(key: string, reply: Reply): FoundCharge {
  const state = parseState(key, reply);
  if (state.kind !== 'charged') return state;
  const { amount: amountMinor, currency } = fieldsOf(reply);
  if (typeof amountMinor !== 'number' || typeof currency !== 'string') throw unreadable(reply);
  return { ...state, amountMinor, currency };
}

/** The fields of a successful response about this key. */
function okFields(key: string, reply: Reply): Record<string, unknown> {
  checkOk(reply);
  const fields = fieldsOf(reply);
  if (fields['key'] !== key) throw unreadable(reply);
  return fields;
}

function readRefund(value: unknown, reply: Reply): RefundState {
  const { refund_key: refundKey, status, code, ...row } = asObject(value);
  const known = REFUND_STATUSES.find((one) => one === status);
  if (!known) throw unreadable(reply);
  const { id: refundId, ...state } = readReturn(row, reply);
  const named = typeof refundKey === 'string' && { refundKey };
  return { refundId, ...named, ...state, status: known, ...(typeof code === 'string' && { code }) };
}

function readDispute(value: unknown, reply: Reply): DisputeState {
  const { status, reason, ...row } = asObject(value);
  const known = DISPUTE_STATUSES.find((one) => one === status);
  if (!known) throw unreadable(reply);
  const { id: disputeId, ...state } = readReturn(row, reply);
  return { disputeId, ...state, status: known, ...(typeof reason === 'string' && { reason }) };
}

const REFUND_STATUSES = ['pending', 'succeeded', 'failed'] as const;
const DISPUTE_STATUSES = ['open', 'won', 'lost'] as const;

/** What refunds and disputes have. */
function readReturn({ id, amount, currency, at }: Record<string, unknown>, reply: Reply) {
  const isWhole = typeof id === 'string' && typeof amount === 'number' && typeof at === 'number';
  if (!isWhole || typeof currency !== 'string') throw unreadable(reply);
  return { id, amountMinor: amount, currency, at };
}

function asObject(value: unknown): Record<string, unknown> {
  return { ...(value as object | null) };
}

function checkOk({ call, status, text }: Reply): void {
  if (status === 200) return;
  throw new Error(`The payment provider answered ${status} to ${call}`, { cause: new Error(text) });
}

function fieldsOf(reply: Reply): Record<string, unknown> {
  try {
    return { ...(JSON.parse(reply.text) as object | null) };
  } catch (error) {
    throw unreadable(reply, error);
  }
}

function unreadable({ call, status, text }: Reply, cause: unknown = new Error(text)): Error {
  return new Error(`The payment provider's ${status} to ${call} cannot be read`, { cause });
}
