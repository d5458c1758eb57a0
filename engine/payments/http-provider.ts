import type { ChargeResult, FoundCharge, PaymentProvider } from './payment-provider';

/**
 * The payment provider behind the simulator's HTTP interface. `timeoutMs` bounds a request with its response. Connections
 * are kept and shared by the process (fetch does that). Every method throws, with the cause, unless it got a definite
 * result: after a timeout, a lost connection, a 4xx, a 5xx or an unreadable response the outcome is open.
 */
export function createHttpPaymentProvider({
  baseUrl,
  timeoutMs,
}: {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly timeoutMs: number;
}): PaymentProvider {
  const send = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<Reply> => {
    const call = `${method} ${path}`;
    try {
      const response = await fetch(`${baseUrl}${path}`, {
        method,
        redirect: 'error',
        // Also ends the reading of the body, for a provider that stops in the middle of its response.
        signal: AbortSignal.timeout(timeoutMs),
        ...(body !== undefined && {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      });
      return { call, status: response.status, text: await response.text() };
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
