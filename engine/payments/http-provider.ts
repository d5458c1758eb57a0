import type { ChargeAnswer, PaymentProvider } from './payment-provider';

export interface HttpPaymentOptions {
  /** Base URL of the provider, without a slash at its end. */
  readonly baseUrl: string;
  /** How long one request may take with its answer, in ms. */
  readonly timeoutMs: number;
}

/**
 * The payment provider behind the HTTP interface of our simulator. Connections are kept and shared by the
 * process (fetch does that). Every method throws, with the cause, unless it got a definite answer: a
 * timeout, a lost connection, a 4xx or 5xx and an answer that it cannot read all leave the outcome open.
 */
export function createHttpPaymentProvider(options: HttpPaymentOptions): PaymentProvider {
  const call = (method: 'GET' | 'POST', path: string, body?: unknown) =>
    request(options, method, path, body);
  return {
    async charge({ key, amountMinor, currency, context }) {
      const body = { key, amount: amountMinor, currency, context };
      return parseCharge(key, definite(await call('POST', '/charges', body)));
    },

    async find(key) {
      const reply = await call('GET', `/charges/${encodeURIComponent(key)}`);
      // Not every 404 is this one: it may come from a wrong address or from a proxy.
      if (reply.status === 404 && fieldsOf(reply)['type'] === 'unknown-charge') return undefined;
      return parseCharge(key, definite(reply));
    },

    async refund(key) {
      const reply = await call('POST', `/charges/${encodeURIComponent(key)}/refund`);
      const { key: answered, result } = fieldsOf(definite(reply));
      if (answered === key && (result === 'refunded' || result === 'nothing')) return result;
      throw unreadable(reply);
    },
  };
}

interface Reply {
  /** Method and path, for messages. */
  readonly call: string;
  readonly status: number;
  readonly text: string;
}

async function request(
  { baseUrl, timeoutMs }: HttpPaymentOptions,
  method: 'GET' | 'POST',
  path: string,
  body: unknown,
): Promise<Reply> {
  const call = `${method} ${path}`;
  try {
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      redirect: 'error',
      // It ends the reading of the body as well: a provider that stops in mid-answer is caught too.
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    return { call, status: response.status, text: await response.text() };
  } catch (error) {
    throw new Error(`The payment provider gave no answer to ${call}`, { cause: error });
  }
}

function definite(reply: Reply): Reply {
  if (reply.status === 200) return reply;
  const { call, status, text } = reply;
  throw new Error(`The payment provider answered ${status} to ${call}`, { cause: new Error(text) });
}

function parseCharge(key: string, reply: Reply): ChargeAnswer {
  const { key: answered, status, payment_id: paymentId, code } = fieldsOf(reply);
  if (answered === key) {
    if (status === 'captured' && typeof paymentId === 'string') {
      return { kind: 'charged', paymentId };
    }
    if (isDefiniteNo(status) && typeof code === 'string') return { kind: 'declined', code };
  }
  throw unreadable(reply);
}

function isDefiniteNo(status: unknown): boolean {
  return status === 'declined' || status === 'refunded' || status === 'blocked';
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
