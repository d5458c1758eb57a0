import { request, type Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Reply {
  /** 0 when the connection broke or was given up. */
  readonly status: number;
  /** The problem's type, or why there was no answer; empty for any other answer. */
  readonly problem: string;
  readonly retryAfterMs?: number;
  /** The members of a JSON answer. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Asked {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  readonly body?: string;
  /** How long the answer is waited for, in milliseconds. */
  readonly patienceMs: number;
}

/** Asks once. Never rejects: no answer is an answer of status 0. */
export function ask(agent: Agent, { method, url, body, patienceMs }: Asked): Promise<Reply> {
  return new Promise((resolve) => {
    const broken = (error: Error) => {
      resolve({ status: 0, problem: error.message, body: {} });
    };
    const options = {
      ...{ method, agent, headers: { 'content-type': 'application/json' } },
      signal: AbortSignal.timeout(patienceMs),
    };
    const call = request(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', broken).on('end', () => {
        const retryAfter = response.headers['retry-after'];
        const members = JSON.parse(text) as Record<string, unknown>;
        resolve({
          status: response.statusCode ?? 0,
          problem: problemType(members),
          ...(retryAfter !== undefined && { retryAfterMs: Number(retryAfter) * 1_000 }),
          body: members,
        });
      });
    });
    call.on('error', broken).end(body);
  });
}

/** What a question that was asked until its answer was definite has come to. */
export interface Decision<Answer> {
  /** `undecided`: no definite answer in time. */
  readonly answer: Answer | 'undecided';
  /** The last problem's type, or why there was no answer. */
  readonly problem: string;
  /** How often it was asked. */
  readonly tries: number;
  /** How many of them had no answer: such a request may still be on its way when a later one is answered. */
  readonly unanswered: number;
  /** When the last one was sent, in ms since the epoch. */
  readonly askedAt: number;
}

/** Longer than any recovery: a gateway restarts, an ingest rejoins its group, a lease ends, a frozen step is given up. */
const DECIDED_MS_MAX = 90_000;
const RETRY_MS = 300;
/** A gateway may ask for more; a buyer in a hurry comes back sooner. */
const RETRY_MS_MAX = 1_000;

/** Asks the same again while `read` says so. Never rejects but by the signal. */
export async function askUntilDefinite<Answer>(
  agent: Agent,
  asked: Asked,
  {
    read,
    signal,
  }: { readonly read: (reply: Reply) => Answer | 'again'; readonly signal: AbortSignal },
): Promise<Decision<Answer>> {
  const deadline = Date.now() + DECIDED_MS_MAX;
  let unanswered = 0;
  for (let tries = 1; ; tries += 1) {
    const askedAt = Date.now();
    const reply = await ask(agent, asked);
    const answer = read(reply);
    if (reply.status === 0) unanswered += 1;
    const so = { problem: reply.problem, tries, unanswered, askedAt };
    if (answer !== 'again') return { ...so, answer };
    if (Date.now() > deadline) return { ...so, answer: 'undecided' };
    await sleep(Math.min(reply.retryAfterMs ?? RETRY_MS, RETRY_MS_MAX), undefined, { signal });
  }
}

/** "sold-out" of "/problems/sold-out"; empty for an answer that is no problem. */
function problemType({ type }: Reply['body']): string {
  return typeof type === 'string' ? type.slice(type.lastIndexOf('/') + 1) : '';
}
