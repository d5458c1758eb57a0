import type { IncomingMessage } from 'node:http';
import { NotAppendedError } from '../../engine/kafka/safe-producer';
import { assertNever } from '../../engine/orders/invariant';
import type { ItemId, RequestId } from '../../engine/orders/order';
import { encodeOrder } from '../../engine/orders/order-record';
import type { Buyer } from '../buyers/buyer-auth';
import type { ReadBody } from '../http/body-reader';
import { RequestError } from '../http/errors';
import type { Clients } from '../http/clients';
import { createDeadlines, createInFlight, type InFlight, type RateLimit } from '../http/limits';
import { problem } from '../http/problems';
import { httpRequestId } from '../http/request-id';
import type { HttpResponse } from '../http/response';
import { orderLinks } from '../routes/order-view';
import { createBuyAdmission, idsOf, type Admitted, type BuyAdmissionDeps } from './admission';
import { parseBuyRequest } from './buy-request';

/**
 * 4 s from handing a record over to its acknowledgement. A broker that restarts or hands over a partition is back sooner; a
 * hold's lease is nearly four times as long, so units are not given away while their buyer still waits.
 */
export const APPEND_DEADLINE_MS = 4_000;

/** The log to which accepted orders are written. */
export interface OrderPublisher {
  /**
   * Resolves once Kafka has acknowledged the record. Rejects with NotAppendedError when it certainly is not in the log.
   * After `until`, on the clock of performance.now(), it is not sent any more.
   */
  append(record: { key: string; value: Buffer; until?: number }): Promise<unknown>;
}

export interface BuyDeps extends BuyAdmissionDeps {
  readonly publisher: OrderPublisher;
  readonly readBody: ReadBody;
  readonly inFlight: InFlight;
  readonly isClosing: () => boolean;
  /** Whether operators have stopped all selling; `unknown`: nobody could tell yet. */
  readonly selling: () => 'selling' | 'stopped' | 'unknown';
  /** Then no units are held, so that the orders under way have the room that is left. */
  readonly isRedisNearlyFull: () => boolean;
  /** Absent: clients may send as many requests as the gateway can take. */
  readonly rateLimit: RateLimit | undefined;
  readonly clients: Pick<Clients, 'keyOf'>;
  /** What the user_id of a body must match. Absent with tokens, and where every id will do. */
  readonly userIdPattern: RegExp | undefined;
  /** Called with each purchase that gets a problem instead of an order. */
  readonly onRefused: (itemId: ItemId, problem: string | undefined) => void;
  /** Milliseconds; only tests shorten it. */
  readonly appendDeadlineMs: number | undefined;
}

export type Buy = ReturnType<typeof createBuy>;

/** POST /buy, in the order of its steps: read, admit, publish, respond. */
export function createBuy(deps: BuyDeps) {
  const { inFlight, rateLimit, clients, isClosing, readBody } = deps;
  const admission = createBuyAdmission(deps);
  const { publish, whenPublished } = createPublish(deps, admission.queue);
  const accepted = createAccepted();

  /** Why nothing is sold at all; undefined while it is. */
  const refuse = (req: IncomingMessage, requestId: RequestId): HttpResponse | undefined => {
    if (deps.isRedisNearlyFull()) {
      const ids = { requestId, httpRequestId: httpRequestId(req) };
      deps.errors.report('Redis is nearly full', undefined, ids);
      return problem('not-accepted', { requestId, detail: NEARLY_FULL });
    }
    const standing = deps.selling();
    return standing === 'selling' ? undefined : notSelling(standing, requestId);
  };

  const refused = (itemId: ItemId, response: HttpResponse): HttpResponse => {
    deps.onRefused(itemId, response.problem);
    return response;
  };

  /** Undefined when the client has left before its body was read. Throws only for bugs. */
  const respond = async (
    req: IncomingMessage,
    buyer?: Buyer,
  ): Promise<HttpResponse | undefined> => {
    if (isClosing() || inFlight.isFull()) return problem('not-accepted');
    const body = await readBody(req);
    if (typeof body !== 'string') return body;
    const purchase = parseBuyRequest(body, buyer?.userId, deps.userIdPattern);
    if ('status' in purchase) return purchase;
    const { requestId, itemId } = purchase;
    // Not by the user_id of a body: anybody can write another buyer's name, or a new one each time.
    const client = rateLimit && (buyer?.userId ?? clients.keyOf(req));
    const retryAfterMs = client === undefined ? undefined : await rateLimit?.(client, itemId);
    if (retryAfterMs !== undefined) {
      return refused(itemId, problem('rate-limited', { requestId, retryAfterMs }));
    }
    const refusal = refuse(req, requestId);
    // Checked again: many bodies may have arrived while this one did.
    if (!inFlight.enter()) return problem('not-accepted', { requestId });
    try {
      if (refusal)
        return (
          (await admission.respondRepeated(purchase, httpRequestId(req))) ??
          refused(itemId, refusal)
        );
      const admitted = await admission.admit(purchase, httpRequestId(req));
      if ('status' in admitted) return refused(itemId, admitted);
      const published = await publish(admitted);
      switch (published) {
        case 'queued':
          return accepted(requestId);
        case 'refused':
          await admission.undo(admitted);
          return problem('not-accepted', { requestId });
        case 'unknown':
          return problem('outcome-unknown', { requestId });
        default:
          return assertNever(published);
      }
    } catch (cause) {
      throw new RequestError('A purchase failed', { problem: 'internal', requestId, cause });
    } finally {
      inFlight.leave();
    }
  };

  return { respond, whenPublished };
}

const NEARLY_FULL =
  'The store of the stock is nearly full: nothing is sold until there is room. This attempt bought nothing.';

/** A crowd that comes back every two seconds would keep the gateways busy for as long as nothing is sold. */
const STOPPED_RETRY_MS = { min: 5_000, max: 15_000 };

function notSelling(standing: 'stopped' | 'unknown', requestId: RequestId): HttpResponse {
  if (standing === 'unknown') return problem('not-accepted', { requestId });
  const { min, max } = STOPPED_RETRY_MS;
  return problem('selling-stopped', { requestId, retryAfterMs: min + Math.random() * (max - min) });
}

type Published =
  /** Acknowledged and queued: the order will reach an outcome. */
  | 'queued'
  /** Certainly not in the log: nothing will come of it. */
  | 'refused'
  /** Handed over, but not (or not yet) known to be acknowledged and queued. */
  | 'unknown';

/** Writes held orders to the log and moves them from held to queued. */
function createPublish(
  { publisher, errors, appendDeadlineMs = APPEND_DEADLINE_MS }: BuyDeps,
  queue: ReturnType<typeof createBuyAdmission>['queue'],
) {
  const deadlines = createDeadlines(appendDeadlineMs);
  // The producer bounds what it takes, and with it the number of orders here.
  const inFlight = createInFlight(Infinity);

  const appendAndQueue = async ({ order, attempt, heldUntil }: Admitted): Promise<Published> => {
    const { requestId } = order;
    try {
      // Later the units belong to somebody else, and the buyer was told long ago that nothing is known of the purchase.
      await publisher.append({ key: requestId, value: encodeOrder(order), until: heldUntil });
    } catch (error) {
      if (error instanceof NotAppendedError) return 'refused';
      errors.report('an order was handed over and not acknowledged', error, idsOf(attempt));
      return 'unknown';
    }
    const queued = await queue(order);
    if (queued === true) return 'queued';
    const cause = queued === false ? new Error('The ledger has no such order any more') : queued;
    errors.report('an acknowledged order could not be queued', cause, idsOf(attempt));
    return 'unknown';
  };

  return {
    /** Never rejects, and resolves within the deadline. */
    publish: (admitted: Admitted): Promise<Published> => {
      inFlight.enter();
      return new Promise((resolve) => {
        // Only the response has a deadline: a later acknowledgement still queues its order.
        const cancelDeadline = deadlines.start(() => {
          resolve('unknown');
        });
        void appendAndQueue(admitted).then((published) => {
          cancelDeadline();
          inFlight.leave();
          resolve(published);
        });
      });
    },
    /** Resolves with true once no order is being published, late ones included, or with false after `boundMs`. */
    whenPublished: inFlight.whenEmpty,
  };
}

/** The response to an accepted order. All but the id is written once: an id needs no escaping in JSON or in a path. */
function createAccepted(): (requestId: RequestId) => HttpResponse {
  const mark = '<request_id>' as RequestId;
  const links = orderLinks(mark);
  const body = JSON.stringify({ request_id: mark, status: 'queued', links }).split(mark);
  const location = links.self.split(mark);
  return (requestId) => ({
    status: 202,
    headers: { 'content-type': 'application/json', location: location.join(requestId) },
    body: body.join(requestId),
  });
}
