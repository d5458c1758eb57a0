import type { IncomingMessage } from 'node:http';
import { randomBytes } from 'node:crypto';
import { assertNever } from '../../domain/invariant';
import type { Purchase } from '../../domain/order';
import { fingerprint } from '../../orderlog/fingerprint';
import type { RejectAnswer } from '../../domain/ledger';
import type { Admission, Attempt, Queued, RequestOf, Undo, Verdict } from '../../stock/admission';
import type { FaultLog } from '../fault-log';
import { json, type Answer } from '../http/answer';
import type { createBodyReader } from '../http/body-reader';
import { problem } from '../http/problems';
import type { OrderView } from '../order-view';
import { RequestFault } from '../request-fault';
import type { LedgerKeeper } from '../../registry/ledger-keeper';
import { decide, type Decision } from './admission/admit';
import { createAdmitOpened } from './admission/admit-opened';
import { createBatcher } from './batch';
import type { InFlight } from './in-flight';
import { createPlaceOrder, type OrderAppender, type PlaceOrder } from './place-order';
import type { RateLimit } from './rate-limit';
import { readPurchase } from './read-purchase';
import type { SoldOutMemory } from './admission/sold-out-memory';
import { rejectionProblem, secondsUp } from './admission/rejection-problem';
import { createWriteDown } from './admission/write-down';

/** Half a second longer than Redis commands may take, so that their own fault is the one that gets told. */
const ADMISSION_DEADLINE_MS = 2_500;

/**
 * A rejected buyer may come back at once with another payload under the same id. While the old claim stands, that would be
 * called a reused id; so a rejection waits for its undo, which normally takes a millisecond. It does not wait longer than
 * this: a late rejection of everybody is worse than a rare wrong 422.
 */
const UNDO_WAIT_MS_MAX = 250;

export interface BuyDeps {
  readonly admission: Admission;
  readonly ledgers: LedgerKeeper;
  readonly appender: OrderAppender;
  readonly readBody: ReturnType<typeof createBodyReader>;
  readonly inFlight: InFlight;
  readonly isClosing: () => boolean;
  /** Absent: a user may ask as often as the gateway can answer. */
  readonly rateLimit?: RateLimit;
  readonly view: OrderView;
  readonly faults: FaultLog;
  readonly onBatch?: (size: number) => void;
  /** Milliseconds; only tests shorten it. */
  readonly appendDeadlineMs?: number;
  readonly soldOut: SoldOutMemory;
  readonly now?: () => number;
}

export interface Buy {
  /**
   * Carries out one POST /buy. Undefined when the client has left before it asked for anything. Throws only for bugs.
   */
  readonly answer: (request: IncomingMessage) => Promise<Answer | undefined>;
  readonly whenSettled: PlaceOrder['whenSettled'];
}

/** The flow of a purchase: read it, claim and hold, then write it down and queue it, or say why not. */
export function createBuy(deps: BuyDeps): Buy {
  const { inFlight, faults, view, soldOut, now = Date.now } = deps;
  const { claimAndHold, isKnown, undo, queue, reject } = createBatchedAdmission(deps);
  const admit = createAdmitOpened({ claimAndHold, ledgers: deps.ledgers, faults });
  const turnAway = createTurnAway({ isKnown, soldOut, faults, view, now });
  const { place, whenSettled } = createPlaceOrder({
    ...{ appender: deps.appender, queue, faults },
    ...(deps.appendDeadlineMs !== undefined && { deadlineMs: deps.appendDeadlineMs }),
  });
  const writeDown = createWriteDown({ reject, faults });
  const giveUp = createGiveUp(undo, faults);
  const nextToken = createTokens();

  const carryOut = async (purchase: Purchase): Promise<Answer> => {
    const { requestId, itemId, amount: units } = purchase;
    const turnedAway = await turnAway(purchase);
    if (turnedAway) return turnedAway;
    const askedAt = performance.now();
    const attempt = { ...purchase, fingerprint: fingerprint(purchase), token: nextToken() };
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
        soldOut.note(itemId, { units, final: decision.rejection.final, askedAt });
      }
      const rejection = decision.mayBeInTheLog
        ? await writeDown(decision.rejection, purchase)
        : decision.rejection;
      if (!rejection) return problem('outcome-unknown', { requestId });
      await giveUp(attempt, decision);
      return rejectionProblem(rejection, purchase, { view, now: now() });
    }
    const { priceMinor, currency, acceptedAt } = decision.hold;
    const placement = await place({ ...attempt, priceMinor, currency, acceptedAt });
    switch (placement) {
      case 'queued':
        return accepted(purchase, view);
      case 'refused':
        await giveUp(attempt, { undoHold: true, dropClaim: verdict.claim === 'new' });
        return problem('not-accepted', { requestId });
      case 'unknown':
        return problem('outcome-unknown', { requestId });
      default:
        return assertNever(placement);
    }
  };

  return {
    answer: async (request) => {
      if (deps.isClosing() || inFlight.isFull()) return problem('not-accepted');
      const read = await readPurchase(request, deps.readBody);
      if (read.kind === 'gone') return undefined;
      if (read.kind === 'rejected') return read.answer;
      const { requestId } = read.purchase;
      const tooOften = deps.rateLimit && (await refuseTooOften(deps.rateLimit, read.purchase));
      if (tooOften) return tooOften;
      // Asked again, for many bodies may have arrived while this one did.
      if (!inFlight.enter()) return problem('not-accepted', { requestId });
      return carryOut(read.purchase)
        .catch((cause: unknown) => {
          throw new RequestFault('A purchase broke', { problem: 'internal', requestId, cause });
        })
        .finally(inFlight.leave);
    },
    whenSettled,
  };
}

/** The refusal of a user who asks too often; undefined for everybody else. */
async function refuseTooOften(
  rateLimit: RateLimit,
  { requestId, userId }: Purchase,
): Promise<Answer | undefined> {
  const waitMs = await rateLimit.waitMs(userId);
  if (waitMs === undefined) return undefined;
  return problem('rate-limited', { requestId, retryAfterSeconds: secondsUp(waitMs) });
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
  readonly soldOut: SoldOutMemory;
  readonly faults: FaultLog;
  readonly view: OrderView;
  readonly now: () => number;
}): (purchase: Purchase) => Promise<Answer | undefined> {
  const { isKnown, soldOut, faults, view, now } = deps;
  return async (purchase) => {
    const { requestId, itemId, amount } = purchase;
    const remembered = soldOut.recall(itemId, amount);
    if (!remembered) return undefined;
    const known = await isKnown({ requestId, itemId });
    if (known === true) return undefined;
    if (known === false) {
      return rejectionProblem({ kind: 'sold-out', ...remembered }, purchase, { view, now: now() });
    }
    faults.report('no answer to whether a request is known', known);
    return problem('not-accepted', { requestId });
  };
}

/** The admission door for single requests; each method gathers the requests of one turn of the event loop. */
function createBatchedAdmission({ admission, onBatch }: BuyDeps) {
  return {
    claimAndHold: createBatcher<Attempt, Verdict>({
      run: (attempts) => admission.claimAndHold(attempts),
      deadlineMs: ADMISSION_DEADLINE_MS,
      ...(onBatch && { onBatch }),
    }),
    isKnown: createBatcher<RequestOf, boolean>({
      run: (requests) => admission.areKnown(requests),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    queue: createBatcher<Queued, boolean>({
      run: (orders) => admission.queue(orders),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    reject: createBatcher<RequestOf, RejectAnswer>({
      run: (requests) => admission.reject(requests),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    undo: createBatcher<Undo, 'undone'>({
      run: (attempts) => admission.undo(attempts).then(() => attempts.map(() => 'undone')),
      deadlineMs: UNDO_WAIT_MS_MAX,
    }),
  };
}

function accepted({ requestId }: Purchase, view: OrderView): Answer {
  const links = view.links(requestId);
  return json(202, { request_id: requestId, status: 'queued', links }, { location: links.self });
}

/** Names attempts: a random word for the process, a counter within it. */
function createTokens(): () => string {
  const prefix = randomBytes(9).toString('base64url');
  let count = 0;
  return () => `${prefix}.${(count++).toString(36)}`;
}
