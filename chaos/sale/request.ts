import { request, type Agent } from 'node:http';

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

/** "sold-out" of "/problems/sold-out"; empty for an answer that is no problem. */
function problemType({ type }: Reply['body']): string {
  return typeof type === 'string' ? type.slice(type.lastIndexOf('/') + 1) : '';
}
