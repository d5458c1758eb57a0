import type { IncomingMessage } from 'node:http';
import type { Purchase } from '../../engine/orders/order';
import type { HttpResponse } from '../http/response';
import type { createBodyReader } from '../http/body-reader';
import { problem } from '../http/problems';
import { RequestFault } from '../errors/request-error';
import { secondsUp } from './admission/rejection-problem';
import { createCarryOut, type CarryOut, type CarryOutDeps } from './carry-out';
import type { InFlight } from './in-flight';
import type { RateLimit } from './rate-limit';
import { readPurchase } from './read-purchase';

export interface BuyDeps extends CarryOutDeps {
  readonly readBody: ReturnType<typeof createBodyReader>;
  readonly inFlight: InFlight;
  readonly isClosing: () => boolean;
  /** Absent: a user may ask as often as the gateway can answer. */
  readonly rateLimit?: RateLimit;
}

export interface Buy {
  /**
   * Carries out one POST /buy. Undefined when the client has left before it asked for anything. Throws only for bugs.
   */
  readonly answer: (request: IncomingMessage) => Promise<HttpResponse | undefined>;
  readonly whenSettled: CarryOut['whenSettled'];
}

/** The door for purchases: read one, or refuse it before any work is done for it, and carry it out. */
export function createBuy(deps: BuyDeps): Buy {
  const { inFlight, rateLimit } = deps;
  const { carryOut, whenSettled } = createCarryOut(deps);
  return {
    answer: async (request) => {
      if (deps.isClosing() || inFlight.isFull()) return problem('not-accepted');
      const read = await readPurchase(request, deps.readBody);
      if (read.kind === 'gone') return undefined;
      if (read.kind === 'rejected') return read.answer;
      const { requestId } = read.purchase;
      const tooOften = rateLimit && (await refuseTooOften(rateLimit, read.purchase));
      if (tooOften) return tooOften;
      // Asked again, for many bodies may have arrived while this one did.
      if (!inFlight.enter()) return problem('not-accepted', { requestId });
      try {
        return await carryOut(read.purchase);
      } catch (cause) {
        throw new RequestFault('A purchase broke', { problem: 'internal', requestId, cause });
      } finally {
        inFlight.leave();
      }
    },
    whenSettled,
  };
}

/** The refusal of a user who asks too often; undefined for everybody else. */
async function refuseTooOften(
  rateLimit: RateLimit,
  { requestId, userId }: Purchase,
): Promise<HttpResponse | undefined> {
  const waitMs = await rateLimit.waitMs(userId);
  if (waitMs === undefined) return undefined;
  return problem('rate-limited', { requestId, retryAfterSeconds: secondsUp(waitMs) });
}
