import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Wish } from './wishes';

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
   * Sends the same request until the answer is definite. `patienceMs` is how long one try waits before the connection
   * is given up. Never rejects but by the signal.
   */
  readonly buy: (gateway: string, wish: Wish, patienceMs: number) => Promise<Purchased>;
  readonly close: () => void;
}

export function createBuyers(signal: AbortSignal): Buyers {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return {
    buy: async (gateway, wish, patienceMs) => {
      const deadline = Date.now() + DECIDED_MS_MAX;
      for (let tries = 1; ; tries += 1) {
        const reply = await post(agent, gateway, wish, patienceMs);
        const answer = verdict(reply);
        const { problem } = reply;
        if (answer !== 'again') return { wish, answer, problem, tries };
        if (Date.now() > deadline) return { wish, answer: 'undecided', problem, tries };
        await sleep(Math.min(reply.retryAfterMs ?? RETRY_MS, RETRY_MS_MAX), undefined, { signal });
      }
    },
    close: () => {
      agent.destroy();
    },
  };
}

interface Reply {
  /** 0 when the connection broke or was given up. */
  readonly status: number;
  readonly problem: string;
  readonly retryAfterMs?: number;
}

function verdict({ status, problem }: Reply): Purchased['answer'] | 'again' {
  if (status === 202) return 'accepted';
  if (status === 409 && problem === 'duplicate-request') return 'known';
  if (status === 409 && problem === 'sold-out') return 'rejected';
  if (status === 0 || TEMPORARY.includes(problem)) return 'again';
  return 'wrong';
}

function post(agent: Agent, gateway: string, wish: Wish, patienceMs: number): Promise<Reply> {
  return new Promise((resolve) => {
    const broken = (error: Error) => {
      resolve({ status: 0, problem: error.message });
    };
    const options = {
      ...{ method: 'POST', agent, headers: { 'content-type': 'application/json' } },
      signal: AbortSignal.timeout(patienceMs),
    };
    const call = request(`${gateway}/buy`, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', broken).on('end', () => {
        const retryAfter = response.headers['retry-after'];
        resolve({
          status: response.statusCode ?? 0,
          problem: problemType(text),
          ...(retryAfter !== undefined && { retryAfterMs: Number(retryAfter) * 1_000 }),
        });
      });
    });
    call.on('error', broken).end(JSON.stringify(wish));
  });
}

/** "sold-out" of "/problems/sold-out"; empty for an acceptance. */
function problemType(text: string): string {
  const { type } = JSON.parse(text) as { type?: string };
  return type?.slice(type.lastIndexOf('/') + 1) ?? '';
}
