import { randomBytes } from 'node:crypto';
import { assertNever } from '../../engine/orders/invariant';
import type { Purchase, RequestId } from '../../engine/orders/order';
import { fingerprint } from '../../engine/orders/fingerprint';
import type { LedgerOpener } from '../../engine/stock/registry/ledger-opener';
import type { Admission, Attempt, RequestOf, Undo } from '../../engine/stock/admission';
import type { FaultLog } from '../errors/error-log';
import type { HttpResponse } from '../http/response';
import { problem } from '../http/problems';
import type { OrderView } from '../orders/order-view';
import { decide, type Decision } from './admission/admit';
import { createAdmitOpened } from './admission/admit-opened';
import { createBatchedAdmission } from './admission/batched-admission';
import { rejectionProblem } from './admission/rejection-problem';
import type { SoldOutMemory } from './admission/sold-out-cache';
import { createWriteDown } from './admission/write-down';
import { createPlaceOrder, type OrderAppender, type PlaceOrder } from './place-order';

export interface CarryOutDeps {
  readonly admission: Admission;
  readonly ledgers: LedgerOpener;
  readonly appender: OrderAppender;
  readonly view: OrderView;
  readonly faults: FaultLog;
  /** Told the size of each batch of claims and holds. */
  readonly onBatch?: (size: number) => void;
  /** Milliseconds; only tests shorten it. */
  readonly appendDeadlineMs?: number;
  readonly soldOut: SoldOutMemory;
  readonly now?: () => number;
}

export interface CarryOut {
  /** Resolves with the answer to a valid purchase. Throws only for bugs. */
  readonly carryOut: (purchase: Purchase) => Promise<HttpResponse>;
  readonly whenSettled: PlaceOrder['whenSettled'];
}

/** A purchase that has been read: claim and hold it, write it down and queue it, or say why not. */
export function createCarryOut(deps: CarryOutDeps): CarryOut {
  const { faults, view, soldOut, now = Date.now } = deps;
  const { claimAndHold, isKnown, undo, queue, reject } = createBatchedAdmission(deps);
  const admit = createAdmitOpened({ claimAndHold, ledgers: deps.ledgers, faults });
  const turnAway = createTurnAway({ isKnown, faults, view, now });
  const { place, whenSettled } = createPlaceOrder({
    ...{ appender: deps.appender, queue, faults },
    ...(deps.appendDeadlineMs !== undefined && { deadlineMs: deps.appendDeadlineMs }),
  });
  const writeDown = createWriteDown({ reject, faults });
  const giveUp = createGiveUp(undo, faults);
  const nextToken = createTokens();
  const accepted = createAccepted(view);

  const carryOut = async (purchase: Purchase): Promise<HttpResponse> => {
    const { requestId, userId, itemId, amount } = purchase;
    const remembered = soldOut.recall(itemId, amount);
    const turnedAway = remembered && (await turnAway(purchase, remembered));
    if (turnedAway) return turnedAway;
    const askedAt = performance.now();
    const of = fingerprint(purchase);
    // Field by field, here and below: an object that is spread and extended takes 2 to 3 µs, and there are two an order.
    const attempt = { requestId, userId, itemId, amount, fingerprint: of, token: nextToken() };
    const verdict = await admit(attempt);
    if (verdict instanceof Error) {
      faults.report('no answer to claim and hold', verdict);
      // In the background, for Redis is not well. Whose the claim is we do not know, so it stays until it expires.
      void giveUp(attempt, { undoHold: true, dropClaim: false });
      return problem('not-accepted', { requestId });
    }
    const decision: Decision = decide(verdict);
    if (decision.kind === 'reject') {
      if (decision.rejection.kind === 'sold-out') {
        soldOut.note(itemId, { units: amount, final: decision.rejection.final, askedAt });
      }
      const rejection = decision.mayBeInTheLog
        ? await writeDown(decision.rejection, purchase)
        : decision.rejection;
      if (!rejection) return problem('outcome-unknown', { requestId });
      await giveUp(attempt, decision);
      return rejectionProblem(rejection, purchase, { view, now: now() });
    }
    const { priceMinor, currency, acceptedAt } = decision.hold;
    const placement = await place({
      requestId,
      userId,
      itemId,
      amount,
      fingerprint: of,
      priceMinor,
      currency,
      acceptedAt,
    });
    switch (placement) {
      case 'queued':
        return accepted(requestId);
      case 'refused':
        await giveUp(attempt, { undoHold: true, dropClaim: verdict.claim === 'new' });
        return problem('not-accepted', { requestId });
      case 'unknown':
        return problem('outcome-unknown', { requestId });
      default:
        return assertNever(placement);
    }
  };

  return { carryOut, whenSettled };
}

/** Gives back what an attempt has taken. Resolves also when that failed: its lease ends then, and so does its claim. */
function createGiveUp(undo: (attempt: Undo) => Promise<'undone' | Error>, faults: FaultLog) {
  return async (
    { requestId, itemId, token }: Attempt,
    { undoHold, dropClaim }: Pick<Undo, 'undoHold' | 'dropClaim'>,
  ): Promise<void> => {
    if (!undoHold && !dropClaim) return;
    const undone = await undo({ requestId, itemId, token, undoHold, dropClaim });
    if (undone instanceof Error) faults.report('an attempt was not undone', undone, { requestId });
  };
}

/**
 * Says sold out from memory, but only to a request that nobody knows: one that is known may have an order, and is to be
 * shown it. Answers undefined where the ledger has to decide.
 */
function createTurnAway(deps: {
  readonly isKnown: (request: RequestOf) => Promise<boolean | Error>;
  readonly faults: FaultLog;
  readonly view: OrderView;
  readonly now: () => number;
}) {
  const { isKnown, faults, view, now } = deps;
  return async (
    purchase: Purchase,
    remembered: { readonly final: boolean },
  ): Promise<HttpResponse | undefined> => {
    const { requestId, itemId } = purchase;
    const known = await isKnown({ requestId, itemId });
    if (known === true) return undefined;
    if (known === false) {
      return rejectionProblem({ kind: 'sold-out', ...remembered }, purchase, { view, now: now() });
    }
    faults.report('no answer to whether a request is known', known);
    return problem('not-accepted', { requestId });
  };
}

/** The answer to an accepted order. All but the id is written once: an id stands for itself in JSON and in a path. */
function createAccepted(view: OrderView): (requestId: RequestId) => HttpResponse {
  const mark = '<request_id>' as RequestId;
  const links = view.links(mark);
  const body = JSON.stringify({ request_id: mark, status: 'queued', links }).split(mark);
  const location = links.self.split(mark);
  return (requestId) => ({
    status: 202,
    headers: { 'content-type': 'application/json', location: location.join(requestId) },
    body: body.join(requestId),
  });
}

/** Names attempts: a random word for the process, a counter within it. */
function createTokens(): () => string {
  const prefix = randomBytes(9).toString('base64url');
  let count = 0;
  return () => `${prefix}.${(count++).toString(36)}`;
}
