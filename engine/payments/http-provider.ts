import { Agent, request } from 'undici';
import type { ChargeResult, FoundCharge, PaymentProvider } from './payment-provider';

/** Below the 10 s of an activity attempt, so that the process reports a silent provider before the server gives up on it. */
const TIMEOUT_MS = 8_000;

/**
 * The payment provider behind the simulator's HTTP interface. `timeoutMs` bounds a request with its response. Connections
 * are kept. Every method throws, with the cause, unless it got a definite result: after a timeout, a lost connection, a
 * redirection, a 4xx, a 5xx or an unreadable response the outcome is open.
 */
export function createHttpPaymentProvider({
  baseUrl,
  timeoutMs = TIMEOUT_MS,
}: {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly timeoutMs?: number;
}): PaymentProvider {
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
    async charge({ key, amountMinor, currency, context }) {
      const body = { key, amount: amountMinor, currency, context };
      return parseCharge(key, await send('POST', '/charges', body));
    },

    async find(key) {
      const reply = await send('GET', `/charges/${encodeURIComponent(key)}`);
      // A 404 without this type may come from a wrong address or a proxy.
      if (reply.status === 404 && fieldsOf(reply)['type'] === 'unknown-charge') return undefined;
      return parseFound(key, reply);
    },

    async refund(key) {
      const reply = await send('POST', `/charges/${encodeURIComponent(key)}/refund`);
      checkOk(reply);
      const { key: answered, result } = fieldsOf(reply);
      if (answered === key && (result === 'refunded' || result === 'nothing')) return result;
      throw unreadable(reply);
    },
  };
}

interface Reply {
  /** Method and path, for error messages. */
  readonly call: string;
  readonly status: number;
  readonly text: string;
}

function parseCharge(key: string, reply: Reply): ChargeResult {
  checkOk(reply);
  const { key: answered, status, payment_id: paymentId, code } = fieldsOf(reply);
  if (answered !== key) throw unreadable(reply);
  if (status === 'captured' && typeof paymentId === 'string') return { kind: 'charged', paymentId };
  const isDeclined = status === 'declined' || status === 'refunded' || status === 'blocked';
  if (isDeclined && typeof code === 'string') return { kind: 'declined', code };
  throw unreadable(reply);
}

function parseFound(key: string, reply: Reply): FoundCharge {
  const result = parseCharge(key, reply);
  if (result.kind === 'declined') return result;
  const { amount: amountMinor, currency } = fieldsOf(reply);
  if (typeof amountMinor !== 'number' || typeof currency !== 'string') throw unreadable(reply);
  return { ...result, amountMinor, currency };
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
