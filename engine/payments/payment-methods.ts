import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Type } from '@sinclair/typebox';
import { request } from 'undici';
import type { BuyerPayment } from '../orders/order';
import { PaymentId } from '../orders/order-record';
import type { Charge } from './payment-provider';

const Answer = TypeCompiler.Compile(
  Type.Union([
    Type.Object({ payment_method: PaymentId, customer: Type.Optional(PaymentId) }),
    Type.Object({ payment_method: Type.Null() }),
  ]),
);

const TIMEOUT_MS = 2_000;
const ANSWER_BYTES_MAX = 16 * 1024;

/**
 * What a buyer pays with: as the purchase names it, or else as the shop answers
 *
 *     GET <url>?user_id=<user_id>&item_id=<item_id>&request_id=<request_id>
 *     200 {"payment_method": "pm_...", "customer": "cus_..."}, or {"payment_method": null}: the buyer has saved none
 *
 * with the token as a bearer token. Undefined where there is none. Throws, with the cause, after any other answer: a 404 may
 * come from a wrong address or from a proxy while the shop is deployed.
 */
export function createPaymentMethods(
  shop: { readonly url: string; readonly token?: string | undefined } | undefined,
) {
  return async ({ payment, context }: Charge): Promise<BuyerPayment | undefined> => {
    if (payment || !shop) return payment;
    const url = new URL(shop.url);
    url.searchParams.set('user_id', context.userId);
    url.searchParams.set('item_id', context.itemId);
    url.searchParams.set('request_id', context.requestId);
    try {
      const { statusCode, body } = await request(url, {
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(shop.token !== undefined && { headers: { authorization: `Bearer ${shop.token}` } }),
      });
      const answer = await readText(body);
      if (statusCode !== 200) throw new Error(`it answered ${statusCode}`);
      const found = parseJson(answer);
      if (!Answer.Check(found)) throw new Error('its answer has no payment_method');
      if (found.payment_method === null) return undefined;
      return { method: found.payment_method, customer: found.customer };
    } catch (error) {
      // The history of the run shows this with its cause: neither may quote the URL or the answer.
      throw new Error('The shop does not say what the buyer pays with', { cause: error });
    }
  };
}

/** Undefined for what is no JSON: the parser's own error would quote it. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    if (length > ANSWER_BYTES_MAX) throw new Error('its answer is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
