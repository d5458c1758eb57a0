import type { IncomingMessage } from 'node:http';
import type { ChargeRequest } from './charge-ledger';

/** A charge needs some hundred bytes and a list of rules some thousand. */
const BODY_BYTES_MAX = 65_536;

/** 255: what providers commonly allow for an idempotency key. No blanks, so that it fits a line of a log. */
const KEY = /^[\x21-\x7e]{1,255}$/;

/** A request that cannot be carried out as it stands: answered with `status`, and the message as its detail. */
export class Invalid extends Error {
  readonly status: number;

  constructor(detail: string, status = 400) {
    super(detail);
    this.status = status;
  }
}

/** The request's body as JSON. Throws Invalid: 413 when it is too large, 400 when it is not JSON. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new Invalid(`The body is larger than ${BODY_BYTES_MAX} bytes.`, 413);
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new Invalid(`The body is not JSON: ${String(error)}`);
  }
}

/** The key, amount and currency of a charge. Throws Invalid, naming the first field that is wrong. */
export function parseCharge(body: unknown): ChargeRequest {
  if (!isRecord(body)) throw new Invalid('The body must be a JSON object.');
  const { key, amount, currency } = body;
  if (typeof amount !== 'number' || !Number.isSafeInteger(amount) || amount < 1) {
    throw new Invalid('amount must be a whole number of minor units above 0.');
  }
  if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency)) {
    throw new Invalid('currency must be an ISO 4217 code in upper case.');
  }
  return { key: parseKey(key), amount, currency };
}

/** A charge's key. Throws Invalid. */
export function parseKey(raw: unknown): string {
  if (typeof raw === 'string' && KEY.test(raw)) return raw;
  throw new Invalid('key must be 1 to 255 printable ASCII characters without blanks.');
}

/** Whether a parsed JSON value is an object with fields. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
