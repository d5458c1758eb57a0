import { setTimeout as sleep } from 'node:timers/promises';
import {
  GatewayError,
  type BuyBody,
  type BuyResponse,
  type CancelResponse,
  type Gateway,
} from './gateway';
import { NoReplyError } from './http-client';

export interface RetryBounds {
  /** How long to retry. */
  readonly withinMs: number;
  /** Cuts the gateway's Retry-After, for a buyer in a hurry. */
  readonly retryMsMax?: number;
  readonly signal?: AbortSignal;
}

/** What a request has come to that was sent until its response was definite. */
export interface Attempted<Response> {
  /** The definite response; undefined when there was none within the bound, or one that does not fit the contract. */
  readonly response: Response | undefined;
  /** The last problem, or why there was no response; empty after another response. */
  readonly problem: string;
  readonly tries: number;
  /** Tries without a response. Such a request may arrive after a later one was answered. */
  readonly unanswered: number;
  /** When the last try was sent, in ms since the epoch. */
  readonly sentAt: number;
}

export interface Purchase extends Attempted<BuyResponse> {
  readonly body: BuyBody;
  /**
   * `accepted`: 202; `duplicate`: 409 with the order that an earlier try has made; `rejected`: any other definite problem;
   * `undecided`: no definite response within the bound, or one that does not fit the contract.
   */
  readonly outcome: 'accepted' | 'duplicate' | 'rejected' | 'undecided';
}

/** Whether the buyer was told that there is an order. */
export function isOrder({ outcome }: Pick<Purchase, 'outcome'>): boolean {
  return outcome === 'accepted' || outcome === 'duplicate';
}

/** Sends the same purchase until the response is definite. Throws only when the signal is aborted. */
export async function buyUntilDefinite(
  gateway: Pick<Gateway, 'buy'>,
  body: BuyBody,
  bounds: RetryBounds,
): Promise<Purchase> {
  const attempted = await untilDefinite(() => gateway.buy(body), bounds);
  return { ...attempted, body, outcome: outcomeOf(attempted) };
}

/** Sends the same cancellation until the response is definite. Throws only when the signal is aborted. */
export function cancelUntilDefinite(
  gateway: Pick<Gateway, 'cancel'>,
  { requestId, userId }: { readonly requestId: string; readonly userId: string },
  bounds: RetryBounds,
): Promise<Attempted<CancelResponse>> {
  return untilDefinite(() => gateway.cancel(requestId, userId), bounds);
}

/** Nothing is decided: the contract says to send the same request again. */
const TEMPORARY_PROBLEMS = [
  'not-accepted',
  'selling-stopped',
  'outcome-unknown',
  'rate-limited',
  'request-in-progress',
  'request-timeout',
];

/** The delay where the gateway names none. */
const RETRY_MS = 300;

async function untilDefinite<Response extends BuyResponse | CancelResponse>(
  send: () => Promise<Response>,
  { withinMs, retryMsMax = Infinity, signal }: RetryBounds,
): Promise<Attempted<Response>> {
  const deadline = performance.now() + withinMs;
  let unanswered = 0;
  for (let tries = 1; ; tries += 1) {
    const sentAt = Date.now();
    const response = await send().catch((error: unknown) => {
      if (error instanceof GatewayError) return error;
      throw error;
    });
    let problem = '';
    let delayMs = RETRY_MS;
    if (response instanceof GatewayError) {
      problem = response.message;
      // A response that does not fit the contract is one, and a retry must not hide it.
      if (!(response.cause instanceof NoReplyError)) {
        return { response: undefined, problem, tries, unanswered, sentAt };
      }
      unanswered += 1;
    } else {
      if (response.kind === 'problem') problem = response.problem;
      if (response.kind !== 'under-way' && !TEMPORARY_PROBLEMS.includes(problem)) {
        return { response, problem, tries, unanswered, sentAt };
      }
      if ('retryAfterMs' in response) delayMs = response.retryAfterMs ?? RETRY_MS;
    }
    delayMs = Math.min(delayMs, retryMsMax);
    if (performance.now() + delayMs > deadline) {
      return { response: undefined, problem, tries, unanswered, sentAt };
    }
    await sleep(delayMs, undefined, signal && { signal });
  }
}

function outcomeOf({ response, problem }: Attempted<BuyResponse>): Purchase['outcome'] {
  if (response === undefined) return 'undecided';
  if (response.kind === 'accepted') return 'accepted';
  return problem === 'duplicate-request' ? 'duplicate' : 'rejected';
}
