import type { IncomingMessage } from 'node:http';
import { assertNever } from '../../engine/orders/invariant';
import type { Purchase, RequestId } from '../../engine/orders/order';
import type { HttpResponse } from '../http/response';
import type { createBodyReader } from '../http/body-reader';
import { problem } from '../http/problems';
import { parseBuyRequest, type FieldError } from './buy-request';

export type PurchaseRead =
  | { readonly kind: 'purchase'; readonly purchase: Purchase }
  | { readonly kind: 'rejected'; readonly answer: HttpResponse }
  | { readonly kind: 'gone' };

/** From a request to a purchase, or to the problem that tells its sender what is wrong with it. Never throws. */
export async function readPurchase(
  request: IncomingMessage,
  readBody: ReturnType<typeof createBodyReader>,
): Promise<PurchaseRead> {
  const body = await readBody(request);
  switch (body.kind) {
    case 'text': {
      const parsed = parseBuyRequest(body.text);
      if (parsed.kind === 'purchase') return parsed;
      return rejected(invalidRequest(parsed.errors, parsed.requestId));
    }
    case 'empty':
      return rejected(invalidRequest([{ path: '', message: 'must not be empty' }]));
    case 'not-utf8':
      return rejected(invalidRequest([{ path: '', message: 'must be UTF-8' }]));
    case 'wrong-media-type':
      return rejected(problem('unsupported-media-type', { detail: body.detail }));
    case 'too-large':
      return rejected(problem('too-large'));
    case 'stalled':
      return rejected(problem('request-timeout'));
    case 'gone':
      return body;
    default:
      return assertNever(body);
  }
}

function rejected(answer: HttpResponse): PurchaseRead {
  return { kind: 'rejected', answer };
}

function invalidRequest(errors: readonly FieldError[], requestId?: RequestId): HttpResponse {
  return problem('invalid-request', { requestId, members: { errors } });
}
