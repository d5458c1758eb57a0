import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancel, type Cancelled } from './canceller';
import { ask, type Reply } from './request';
import { hasTrait, type Wish } from './wishes';

/** How a purchase ended at the door. */
export interface Purchased {
  readonly wish: Wish;
  /**
   * `accepted`: 202. `known`: 409 duplicate-request, so that an earlier try has made the order. `rejected`: sold out.
   * `undecided`: no definite answer in time. `wrong`: an answer that this request must never get.
   */
  readonly answer: 'accepted' | 'known' | 'rejected' | 'undecided' | 'wrong';
  /** The last problem's type, or why there was no answer. */
  readonly problem: string;
  /** How often the request was sent. */
  readonly tries: number;
  /** How many of them had no answer: such a request may still be on its way when a later one is answered. */
  readonly unanswered: number;
  /** What the buyer was told when they cancelled the order; absent: they did not. */
  readonly cancelled?: Cancelled;
}

/** Longer than any recovery: a gateway restarts, an ingest rejoins its group, a lease ends. */
const DECIDED_MS_MAX = 90_000;
const RETRY_MS = 300;
/** A gateway may ask for more; a buyer in a hurry comes back sooner. */
const RETRY_MS_MAX = 1_000;

const TEMPORARY = [
  ...['not-accepted', 'outcome-unknown', 'request-in-progress', 'rate-limited'],
  // A gateway that was frozen while it read the body.
  'request-timeout',
];

export interface Buyers {
  /**
   * Sends the same request until the answer is definite, and cancels what is to be cancelled. `patienceMs` is how long
   * one try waits before the connection is given up. Never rejects but by the signal.
   */
  readonly buy: (gateway: string, wish: Wish, patienceMs: number) => Promise<Purchased>;
  readonly close: () => void;
}

export function createBuyers(signal: AbortSignal): Buyers {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const purchase: Buyers['buy'] = async (gateway, wish, patienceMs) => {
    const deadline = Date.now() + DECIDED_MS_MAX;
    const body = JSON.stringify(wish);
    let unanswered = 0;
    for (let tries = 1; ; tries += 1) {
      const reply = await ask(agent, { method: 'POST', url: `${gateway}/buy`, body, patienceMs });
      const answer = verdict(reply);
      const { problem } = reply;
      if (reply.status === 0) unanswered += 1;
      const so = { wish, problem, tries, unanswered };
      if (answer !== 'again') return { ...so, answer };
      if (Date.now() > deadline) return { ...so, answer: 'undecided' };
      await sleep(Math.min(reply.retryAfterMs ?? RETRY_MS, RETRY_MS_MAX), undefined, { signal });
    }
  };
  return {
    buy: async (gateway, wish, patienceMs) => {
      const purchased = await purchase(gateway, wish, patienceMs);
      const ordered = purchased.answer === 'accepted' || purchased.answer === 'known';
      const atOnce = hasTrait(wish, 'cancelled-at-once');
      if (!ordered || !(atOnce || hasTrait(wish, 'cancelled'))) return purchased;
      const how = { agent, gateway, patienceMs, atOnce, signal };
      return { ...purchased, cancelled: await cancel(wish, how) };
    },
    close: () => {
      agent.destroy();
    },
  };
}

function verdict({ status, problem }: Reply): Purchased['answer'] | 'again' {
  if (status === 202) return 'accepted';
  if (status === 409 && problem === 'duplicate-request') return 'known';
  if (status === 409 && problem === 'sold-out') return 'rejected';
  if (status === 0 || TEMPORARY.includes(problem)) return 'again';
  return 'wrong';
}
