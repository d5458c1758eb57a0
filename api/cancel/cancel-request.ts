import type { IncomingHttpHeaders } from 'node:http';
import {
  parseRequestId,
  parseUserId,
  type RequestId,
  type UserId,
} from '../../engine/orders/order';
import type { HttpResponse } from '../http/response';
import { announcesNothing } from '../http/body-reader';
import { problem } from '../http/problems';

/** DELETE /orders/<rawId>?<query>, as it came. */
export interface RawCancellation {
  readonly rawId: string | undefined;
  /** Without its question mark. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Cancellation {
  readonly requestId: RequestId;
  readonly userId: UserId;
}

/** Who wants to cancel what, or the problem with the request. */
export function readCancellation({
  rawId,
  query,
  headers,
}: RawCancellation): Cancellation | { readonly refusal: HttpResponse } {
  const requestId = parseRequestId(rawId);
  if (requestId === undefined) return { refusal: problem('unknown-order') };
  const invalid = (detail: string) => ({
    refusal: problem('invalid-request', { requestId, detail }),
  });
  if (!announcesNothing(headers)) {
    return invalid('A cancellation has no body. Name its buyer in the query: ?user_id=<id>.');
  }
  // What is not known is refused rather than ignored, as in the body of a purchase.
  const [[name, value] = [], ...others] = [...new URLSearchParams(query)];
  const userId = parseUserId(value);
  if (name !== 'user_id' || userId === undefined || others.length > 0) {
    return invalid(
      'The query must name the buyer of the order once, and nothing else: ?user_id=<id>.',
    );
  }
  return { requestId, userId };
}
