import type { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, askUntilDefinite, type Reply } from './request';
import type { Wish } from './wishes';

/**
 * What a buyer was told who cancelled: `cancelled` for good, or too late, as the order was `confirmed` or `failed`.
 * `undecided`: no definite answer in time. `wrong`: an answer that this question must never get.
 */
export type Cancelled = 'cancelled' | 'confirmed' | 'failed' | 'undecided' | 'wrong';

export interface CancelOptions {
  readonly agent: Agent;
  readonly gateway: string;
  /** How long one try waits for its answer, in milliseconds. */
  readonly patienceMs: number;
  /** Or only once the order's workflow is at work. */
  readonly atOnce: boolean;
  readonly signal: AbortSignal;
}

/** A worker that is dead or busy reserves late; an order that is still waiting then is cancelled as it waits. */
const AT_WORK_MS_MAX = 60_000;
const LOOK_EVERY_MS = 100;

/** Cancels an accepted order: asks until the answer is definite. Never rejects but by the signal. */
export async function cancel(wish: Wish, options: CancelOptions): Promise<Cancelled> {
  const { agent, gateway, patienceMs, atOnce, signal } = options;
  const order = `${gateway}/orders/${wish.request_id}`;
  const look = () => ask(agent, { method: 'GET', url: order, patienceMs });
  const atWorkBy = Date.now() + AT_WORK_MS_MAX;
  const waits = async () => Date.now() < atWorkBy && !isAtWork(await look());
  while (!atOnce && (await waits())) await sleep(LOOK_EVERY_MS, undefined, { signal });

  const asked = { method: 'DELETE', url: `${order}?user_id=${wish.user_id}`, patienceMs } as const;
  return (await askUntilDefinite(agent, asked, { read: verdictOf, signal })).answer;
}

function isAtWork({ body }: Reply): boolean {
  return typeof body['status'] === 'string' && body['status'] !== 'queued';
}

function verdictOf({ status, problem, body }: Reply): Exclude<Cancelled, 'undecided'> | 'again' {
  if (status === 200) return 'cancelled';
  if (status === 409 && problem === 'too-late-to-cancel') {
    return body['reason'] === 'confirmed' ? 'confirmed' : 'failed';
  }
  const temporary = status === 0 || status === 202 || problem === 'outcome-unknown';
  return temporary || problem === 'not-accepted' || problem === 'request-timeout'
    ? 'again'
    : 'wrong';
}
