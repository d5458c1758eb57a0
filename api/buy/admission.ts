import { randomBytes } from 'node:crypto';
import { fingerprint } from '../../engine/orders/order-record';
import type { RejectResult } from '../../engine/orders/ledger';
import type { Order, Purchase, RequestId } from '../../engine/orders/order';
import {
  HOLD_LEASE_MS,
  type Admission,
  type Attempt,
  type Queued,
  type RequestOf,
  type Undo,
  type Verdict,
} from '../../engine/stock/admission';
import type { LedgerOpener } from '../../engine/stock/ledger-opener';
import type { ErrorLog } from '../http/errors';
import { problem } from '../http/problems';
import type { HttpResponse } from '../http/response';
import { createBatcher } from './batcher';
import {
  decide,
  duplicate,
  rejectionProblem,
  type Decision,
  type Hold,
  type LinkToOrders,
  type Rejection,
} from './decision';
import { viewFound } from '../routes/order-view';
import type { OrderLookup } from '../routes/order-lookup';
import type { SoldOutCache } from './sold-out-cache';

/** Half a second longer than Redis commands may take, so that their own error is the one reported. */
const ADMISSION_DEADLINE_MS = 2_500;

/**
 * A rejected buyer may come back at once with another payload under the same id, which would be called a reused id while
 * the old claim stands. So a rejection waits for its undo, normally a millisecond, but no longer than this: late
 * rejections for everybody are worse than a rare wrong 422.
 */
const UNDO_WAIT_MS_MAX = 250;

/** An attempt, and the HTTP request that makes it. */
interface BuyAttempt extends Attempt {
  readonly httpRequestId: string;
}

/** For a line of the log about an attempt. */
export function idsOf({ requestId, itemId, httpRequestId }: BuyAttempt) {
  return { requestId, itemId, httpRequestId };
}

/** A purchase whose units are held. */
export interface Admitted {
  readonly order: Order;
  readonly attempt: BuyAttempt;
  readonly claim: Verdict['claim'];
  /** Not later than the lease's end in Redis: counted from before Redis was asked, on the clock of performance.now(). */
  readonly heldUntil: number;
}

export interface BuyAdmissionDeps {
  readonly admission: Admission;
  readonly ledgers: LedgerOpener;
  /** Finds an order wherever it is. */
  readonly lookUp: OrderLookup;
  readonly errors: ErrorLog;
  /** Called with the size of each batch of claims and holds. */
  readonly onBatch?: (size: number) => void;
  readonly soldOutCache: SoldOutCache;
  /** Absent: orders are not listed. */
  readonly linkToOrders?: LinkToOrders | undefined;
  /** Milliseconds; only tests shorten it. */
  readonly holdLeaseMs?: number | undefined;
}

/** Admits single purchases. Those of one turn of the event loop share their round trips to Redis. */
// eslint-disable-next-line max-lines-per-function -- a list of methods
export function createBuyAdmission(deps: BuyAdmissionDeps) {
  const { ledgers, errors, soldOutCache, holdLeaseMs = HOLD_LEASE_MS } = deps;
  const nextToken = createTokens();
  const batches = createBatches(deps.admission, deps.onBatch);

  /** Claims and holds the units of a purchase, or responds why not. Throws only for bugs. */
  const admit = async (
    purchase: Purchase,
    httpRequestId: string,
  ): Promise<Admitted | HttpResponse> => {
    const { requestId, userId, itemId, amount } = purchase;
    const cached = soldOutCache.get(itemId, amount);
    const soldOut = cached && (await respondSoldOut(purchase, cached.final, httpRequestId));
    if (soldOut) return soldOut;
    const askedAt = performance.now();
    const hash = fingerprint(purchase);
    // Field by field, here and below: an object that is spread and extended takes 2 to 3 µs, and there are two an order.
    const attempt: BuyAttempt = {
      requestId,
      userId,
      itemId,
      amount,
      payment: purchase.payment,
      fingerprint: hash,
      token: nextToken(),
      httpRequestId,
    };
    const first = await batches.claimAndHold(attempt);
    if (first instanceof Error) return abandon(attempt, first);
    const { claim, hold } =
      first.hold.kind === 'unopened'
        ? await openAndHold(attempt, first.claim, first.hold.known)
        : { claim: first.claim, hold: first.hold };
    if (hold instanceof Error) return abandon(attempt, hold);
    const decision = decide(claim, hold);
    if (decision.kind === 'reject') return reject(attempt, decision, askedAt);
    if (decision.kind === 'finished') {
      await undo(attempt, decision.undoHold, false);
      return respondFinished(requestId, idsOf(attempt));
    }
    const { orderId, priceMinor, currency, acceptedAt, payWithinMs } = decision.hold;
    const order: Order & { payment?: Purchase['payment'] } = {
      requestId,
      orderId,
      userId,
      itemId,
      amount,
      fingerprint: hash,
      priceMinor,
      currency,
      acceptedAt,
      payWithinMs,
    };
    // Whose earlier attempt was held in checkout, and came without.
    if (purchase.payment && payWithinMs === undefined) order.payment = purchase.payment;
    return { order, attempt, claim, heldUntil: askedAt + holdLeaseMs };
  };

  /**
   * Responds sold-out from the cache, but only to a request that is not known: a known one may have an order, and its
   * response shows it. Undefined where the ledger has to decide.
   */
  const respondSoldOut = async (purchase: Purchase, final: boolean, httpRequestId: string) => {
    const { requestId, itemId } = purchase;
    const known = await batches.isKnown({ requestId, itemId });
    if (known === true) return undefined;
    if (known === false) {
      return rejectionProblem({ kind: 'sold-out', final }, purchase, Date.now());
    }
    const ids = { requestId, itemId, httpRequestId };
    errors.report('no answer to whether a request is known', known, ids);
    return problem('not-accepted', { requestId });
  };

  /**
   * For while nothing is sold. Responds to a request that was accepted before with its order, and to one whose id is
   * another's; undefined for every other one, also while nobody knows. Takes nothing.
   */
  const respondRepeated = async (
    purchase: Purchase,
    httpRequestId: string,
  ): Promise<HttpResponse | undefined> => {
    const { requestId, itemId } = purchase;
    try {
      const isKnown = await batches.isKnown({ requestId, itemId });
      if (isKnown instanceof Error) throw isKnown;
      const found = isKnown ? await deps.lookUp(requestId) : undefined;
      if (!found) return undefined;
      const known = 'entry' in found ? found.entry.fingerprint : fingerprint(found.archived);
      if (known !== fingerprint(purchase)) {
        return problem('request-id-reused', { requestId });
      }
      const order = viewFound(requestId, found);
      return order && duplicate(requestId, order);
    } catch (error) {
      const ids = { requestId, itemId, httpRequestId };
      errors.report('no answer to whether a request is known', error, ids);
      return undefined;
    }
  };

  /** Responds with an order that has left the ledger. */
  const respondFinished = async (
    requestId: RequestId,
    ids: ReturnType<typeof idsOf>,
  ): Promise<HttpResponse> => {
    try {
      const found = await deps.lookUp(requestId);
      const order = found && viewFound(requestId, found);
      if (order) return duplicate(requestId, order);
      errors.report('the archive does not know a finished order', undefined, ids);
    } catch (error) {
      errors.report('no answer to what has become of an order', error, ids);
    }
    return problem('not-accepted', { requestId });
  };

  const reject = async (
    attempt: BuyAttempt,
    decision: Extract<Decision, { readonly kind: 'reject' }>,
    askedAt: number,
  ): Promise<HttpResponse> => {
    const { requestId, itemId, amount } = attempt;
    if (decision.rejection.kind === 'sold-out') {
      const { final, stockKeyVanished } = decision.rejection;
      soldOutCache.set(itemId, { units: amount, final, askedAt });
      if (stockKeyVanished) {
        errors.report('the stock key has vanished', undefined, idsOf(attempt));
      }
    }
    const rejection = decision.mayBeInTheLog
      ? await writeDown(decision.rejection, attempt)
      : decision.rejection;
    if (!rejection) return problem('outcome-unknown', { requestId });
    await undo(attempt, decision.undoHold, decision.dropClaim);
    return rejectionProblem(rejection, attempt, Date.now(), deps.linkToOrders);
  };

  /** Redis did not reply to claim and hold. */
  const abandon = (attempt: BuyAttempt, error: Error): HttpResponse => {
    errors.report('no answer to claim and hold', error, idsOf(attempt));
    // Not awaited: Redis is in trouble. It is not known whose the claim is, so it stays until it expires.
    void undo(attempt, true, false);
    return problem('not-accepted', { requestId: attempt.requestId });
  };

  /** Opens the item's ledger and holds again. This happens once in an item's life, so other purchases pay nothing for it. */
  const openAndHold = async (
    attempt: BuyAttempt,
    claim: Verdict['claim'],
    known: boolean,
  ): Promise<{ readonly claim: Verdict['claim']; readonly hold: Hold | Error }> => {
    const { itemId } = attempt;
    const standing = await ledgers.resolve({ itemId, known }).catch((error: unknown) => {
      errors.report('an item was not opened', error, idsOf(attempt));
      return 'unreachable' as const;
    });
    if (standing === 'unknown') return { claim, hold: { kind: 'unknown-item' } };
    if (standing === 'lost') errors.report('the ledger is lost', undefined, idsOf(attempt));
    if (standing !== 'opened') return { claim, hold: { kind: 'no-ledger', why: standing } };
    const second = await batches.claimAndHold(attempt);
    if (second instanceof Error) return { claim, hold: second };
    const hold: Hold =
      second.hold.kind === 'unopened' ? { kind: 'no-ledger', why: 'unreachable' } : second.hold;
    // The second claim is the one that the first attempt found or made, unless a rebuild has marked it since: the ledger was
    // lost, and has been opened without this order.
    return { claim: second.claim === 'finished' ? 'finished' : claim, hold };
  };

  /**
   * A gateway that died or was frozen may have written, or may yet write, a record whose hold was given away. The rejection
   * of a later attempt is true only if that record has no effect, so the ledger stores the rejection first. Resolves
   * with the rejection to respond with; undefined when the ledger did not reply and the order's outcome is open.
   */
  const writeDown = async (rejection: Rejection, attempt: BuyAttempt) => {
    const { requestId, itemId } = attempt;
    if (rejection.kind === 'no-ledger') return undefined;
    const result = await batches.reject({ requestId, itemId });
    if (result instanceof Error) {
      errors.report('a rejection was not written down', result, idsOf(attempt));
      return undefined;
    }
    return result.kind === 'rejected' ? rejection : result;
  };

  /** Gives back what an attempt has taken. Resolves also when that fails: the lease and the claim then expire. */
  const undo = async (
    attempt: BuyAttempt,
    undoHold: boolean,
    dropClaim: boolean,
  ): Promise<void> => {
    if (!undoHold && !dropClaim) return;
    const { requestId, itemId, fingerprint: hash, token } = attempt;
    const undone = await batches.undo({
      requestId,
      itemId,
      fingerprint: hash,
      token,
      undoHold,
      dropClaim,
    });
    if (undone instanceof Error) {
      errors.report('an attempt was not undone', undone, idsOf(attempt));
    }
  };

  return {
    admit,
    respondRepeated,
    /** Undoes an admission whose record certainly is not in the log. */
    undo: ({ attempt, claim }: Admitted): Promise<void> => undo(attempt, true, claim === 'new'),
    /** Moves an order from held to queued. False: its entry is gone. */
    queue: batches.queue,
  };
}

/** Each method gathers the requests of a turn of the event loop, or of two, into one round trip. */
function createBatches(admission: Admission, onBatch: BuyAdmissionDeps['onBatch']) {
  return {
    claimAndHold: createBatcher<Attempt, Verdict>({
      run: (attempts) => admission.claimAndHold(attempts),
      // A second turn costs a lone request some µs, and was worth 1.05 of the rate at 64 connections.
      turns: 2,
      deadlineMs: ADMISSION_DEADLINE_MS,
      onBatch,
    }),
    isKnown: createBatcher<RequestOf, boolean>({
      run: (requests) => admission.areKnown(requests),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    queue: createBatcher<Queued, boolean>({
      run: (orders) => admission.queue(orders),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    reject: createBatcher<RequestOf, RejectResult>({
      run: (requests) => admission.reject(requests),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    undo: createBatcher<Undo, 'undone'>({
      run: (attempts) => admission.undo(attempts).then(() => attempts.map(() => 'undone')),
      deadlineMs: UNDO_WAIT_MS_MAX,
    }),
  };
}

/** Names attempts, and with them orders: a random word for the process, a counter within it. Never the same one twice. */
function createTokens(): () => string {
  const prefix = randomBytes(9).toString('base64url');
  let count = 0;
  return () => `${prefix}.${(count++).toString(36)}`;
}
