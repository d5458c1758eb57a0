import { Agent } from 'node:http';
import { cancel, type Cancelled } from './canceller';
import { askUntilDefinite, type Decision, type Reply } from './request';
import { hasTrait, type Wish } from './wishes';

/**
 * How a purchase ended at the door. `accepted`: 202. `known`: 409 duplicate-request, so that an earlier try has made the
 * order. `rejected`: sold out. `wrong`: an answer that this request must never get.
 */
export interface Purchased extends Decision<'accepted' | 'known' | 'rejected' | 'wrong'> {
  readonly wish: Wish;
  /** What the buyer was told when they cancelled the order; absent: they did not. */
  readonly cancelled?: Cancelled;
}

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
  return {
    buy: async (gateway, wish, patienceMs) => {
      const asked = {
        method: 'POST',
        url: `${gateway}/buy`,
        body: JSON.stringify(wish),
        patienceMs,
      } as const;
      const decided = await askUntilDefinite(agent, asked, { read: verdict, signal });
      const purchased = { wish, ...decided };
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
