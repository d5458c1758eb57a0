import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { encodeCancellation, type Cancellation } from '../../engine/orders/cancellation-record';
import { assertNever } from '../../engine/orders/invariant';
import { orderOf, type CancelResult, type LedgerEntry } from '../../engine/orders/ledger';
import type { ItemId, RequestId, UserId } from '../../engine/orders/order';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { within } from '../../platform/until';
import { APPEND_DEADLINE_MS, type OrderPublisher } from '../buy/buy';
import { RequestError } from '../http/errors';
import { announcesNothing } from '../http/body-reader';
import { parseRequestId, parseUserId } from '../../engine/orders/order';
import { problem } from '../http/problems';
import { json, type HttpResponse } from '../http/response';
import type { FinishedOrder, OrderLookup } from './order-lookup';
import { viewFound, viewOrder, type OrderBody } from './order-view';
import { NO_STORE, type RouteContext } from './route';

/** Handles DELETE /orders/<id>?user_id=<id>. Throws RequestError. */
export type CancelOrder = (
  context: Pick<RouteContext, 'params' | 'querystring' | 'buyer'> & {
    readonly req: Pick<IncomingMessage, 'headers'>;
  },
) => Promise<HttpResponse>;

/**
 * A run reacts to its cancellation within some 100 ms, or as soon as its first charge has ended, which takes at most 3 s
 * (`workflows/steps.ts`). Only a provider that is slow to refund takes longer.
 */
const WAIT_MS_MAX = 4_000;
const POLL_MS = 50;

/** Each waiting request costs Redis twenty small scripts a second. Above the bound the response is 202, ask again. */
const WAITING_MAX = 100;

/**
 * Cancels orders for their buyers: in the ledger alone while an order is queued, through its workflow once it is reserved.
 * The ledger is marked first, so that a run that misses Temporal's cancellation finds the mark when it reserves. A buyer is
 * told "cancelled" only once Kafka has the cancellation too: with it a lost ledger is restored. Each repetition appends it
 * again, since the first one may have found Kafka away.
 */
export function createCancelOrder({
  ledger,
  lookUp,
  cancelWorkflow,
  cancellations,
  isClosing,
  waitMsMax = WAIT_MS_MAX,
  appendDeadlineMs = APPEND_DEADLINE_MS,
}: {
  readonly ledger: Pick<StockLedger, 'cancel'>;
  readonly lookUp: OrderLookup;
  /** Absent, in tests: a reserved order cannot be cancelled. */
  readonly cancelWorkflow?: CancelWorkflow | undefined;
  readonly cancellations: OrderPublisher;
  readonly isClosing: () => boolean;
  /** Only tests shorten these. */
  readonly waitMsMax?: number | undefined;
  readonly appendDeadlineMs?: number | undefined;
}): CancelOrder {
  let waiting = 0;

  /** `isAgain`: the order has left the ledger between the look-up and the cancellation, and is looked up again. */
  const cancel = async (
    request: CancelRequest,
    isAgain = false,
  ): Promise<FoundResult | ArchivedResult | undefined> => {
    const { requestId } = request;
    const found = await orUnknown('the look-up of the order', requestId, lookUp(requestId));
    if (!found) return undefined;
    if ('archived' in found) return archivedResult(request, found);
    const { itemId } = found;
    const ask = async () => {
      const asked = ledger.cancel({ ...request, itemId });
      return { itemId, ...(await orUnknown('Redis', requestId, asked)) };
    };
    const result = await ask();
    if (result.kind === 'unknown' && !isAgain) return cancel(request, true);
    if (result.kind !== 'under-way') return result;
    const sent = cancelWorkflow?.(requestId) ?? Promise.reject(new Error('no TEMPORAL_ADDRESS'));
    await orUnknown('Temporal', requestId, sent);
    return waitForResult(result, ask);
  };

  /** Polls by repeating the ledger's cancellation, which changes nothing the second time. */
  const waitForResult = async (first: FoundResult, ask: () => Promise<FoundResult>) => {
    let result = first;
    if (waiting >= WAITING_MAX) return result;
    waiting += 1;
    try {
      const until = performance.now() + waitMsMax;
      while (result.kind === 'under-way' && performance.now() < until && !isClosing()) {
        await sleep(POLL_MS);
        result = await ask();
      }
      return result;
    } finally {
      waiting -= 1;
    }
  };

  return async ({ params, querystring, req, buyer }) => {
    const requestId = parseRequestId(params['request_id']);
    if (requestId === undefined) return problem('unknown-order');
    if (!announcesNothing(req.headers)) {
      const detail = 'A cancellation has no body. Name its buyer in the query: ?user_id=<id>.';
      return problem('invalid-request', { requestId, detail });
    }
    const userId = buyer && querystring === '' ? buyer.userId : readBuyer(querystring);
    if (userId === undefined) {
      const detail = 'The query must be ?user_id=<id>, the buyer of the order, and nothing else.';
      return problem('invalid-request', { requestId, detail });
    }
    if (buyer && userId !== buyer.userId) return problem('other-user', { requestId });
    const result = await cancel({ requestId, userId });
    // A buyer with a token learns nothing of other buyers' orders, not even that they are there.
    if (buyer && result?.kind === 'not-the-buyer') return problem('unknown-order', { requestId });
    if (result?.kind !== 'cancelled') return toResponse(requestId, result);
    const value = encodeCancellation(cancellationOf(requestId, result));
    const appended = cancellations.append({ key: requestId, value });
    const bounded = within(appended, appendDeadlineMs, 'recording a cancellation');
    await orUnknown('Kafka', requestId, bounded);
    // The ledger may have been lost, and rebuilt from a log that did not have the cancellation yet.
    return toResponse(requestId, await cancel({ requestId, userId }));
  };
}

interface CancelRequest {
  readonly requestId: RequestId;
  readonly userId: UserId;
}

type FoundResult = CancelResult & { readonly itemId: ItemId };

/** The ledger does not know the order any more, so nothing of it can be changed. */
type ArchivedResult =
  | { readonly kind: 'archived'; readonly order: OrderBody }
  | Extract<CancelResult, { readonly kind: 'not-the-buyer' }>;

function archivedResult(
  { requestId, userId }: CancelRequest,
  found: FinishedOrder,
): ArchivedResult | undefined {
  const order = viewFound(requestId, found);
  if (order && order.user_id !== userId) return { kind: 'not-the-buyer' };
  return order && { kind: 'archived', order };
}

function cancellationOf(
  requestId: RequestId,
  { itemId, entry }: Extract<FoundResult, { readonly entry: LedgerEntry }>,
): Cancellation {
  return {
    order: orderOf({ itemId, requestId, entry }),
    at: entry.finishedAt ?? entry.acceptedAt,
    generation: entry.generation,
    unresolvedCharges: entry.unresolvedCharges,
  };
}

/** Unknown parameters are rejected, not ignored, as in the body of a purchase. */
function readBuyer(querystring: string): UserId | undefined {
  const [[name, value] = [], ...others] = [...new URLSearchParams(querystring)];
  return name === 'user_id' && others.length === 0 ? parseUserId(value) : undefined;
}

function toResponse(
  requestId: RequestId,
  result: FoundResult | ArchivedResult | undefined,
): HttpResponse {
  if (result === undefined || result.kind === 'unknown') {
    return problem('unknown-order', { requestId });
  }
  if (result.kind === 'not-the-buyer') return problem('not-the-buyer', { requestId });
  if (result.kind === 'archived') return archivedResponse(requestId, result.order);
  const order = viewOrder({ requestId, itemId: result.itemId, entry: result.entry });
  switch (result.kind) {
    case 'cancelled':
      return json(200, order, NO_STORE);
    case 'under-way':
      return json(202, order, { ...NO_STORE, 'retry-after': '1' });
    case 'sold':
      return problem('too-late-to-cancel', { requestId, members: { reason: 'confirmed', order } });
    case 'failed':
      return problem('too-late-to-cancel', { requestId, members: { reason: 'failed', order } });
    default:
      return assertNever(result);
  }
}

function archivedResponse(requestId: RequestId, order: OrderBody): HttpResponse {
  const { status: reason } = order;
  if (reason === 'cancelled') return json(200, order, NO_STORE);
  return reason === 'confirmed' || reason === 'failed'
    ? problem('too-late-to-cancel', { requestId, members: { reason, order } })
    : problem('outcome-unknown', { requestId });
}

/** Without an answer the order may or may not be cancelled. The buyer can safely ask again. */
function orUnknown<T>(dependency: string, requestId: RequestId, asked: Promise<T>): Promise<T> {
  return asked.catch((cause: unknown) => {
    const message = `${dependency} gave no answer`;
    throw new RequestError(message, { problem: 'outcome-unknown', requestId, cause });
  });
}

/**
 * Asks Temporal to cancel an order's current run; does nothing if none is open. Throws when Temporal does not answer, and
 * may be called again.
 */
export type CancelWorkflow = (requestId: RequestId) => Promise<void>;

/** Together with WAIT_MS_MAX this stays below the timeouts of buyers and proxies. */
const CALL_MS_MAX = 2_000;

export function createCancelWorkflow(client: Client): CancelWorkflow {
  return async (requestId) => {
    try {
      await client.withDeadline(Date.now() + CALL_MS_MAX, () =>
        client.workflow.getHandle(requestId).cancel(),
      );
    } catch (error) {
      // The run has closed, and the ledger has its outcome; or it was terminated, and the next run finds the mark.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  };
}
