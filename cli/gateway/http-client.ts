import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { describeError } from '../../platform/user-error';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface HttpClient {
  /** `path` begins with a slash. Throws NoAnswerError when no whole answer comes. */
  readonly get: (path: string) => Promise<HttpAnswer>;
  /** Sends a JSON body. Throws NoAnswerError when no whole answer comes. */
  readonly post: (path: string, body: unknown) => Promise<HttpAnswer>;
  /** Sends no body. Throws NoAnswerError when no whole answer comes. */
  readonly delete: (path: string) => Promise<HttpAnswer>;
  readonly close: () => void;
}

/** Nobody answered. `mayHaveArrived`: the request was on its way, so it may have been carried out. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
  readonly mayHaveArrived: boolean;

  constructor(message: string, options: { readonly mayHaveArrived: boolean; cause: unknown }) {
    super(message, { cause: options.cause });
    this.mayHaveArrived = options.mayHaveArrived;
  }
}

/** Longer than the gateway's own deadlines together, so that its answer is the one that gets told. */
const ANSWER_MS_MAX = 15_000;

/** Enough to keep a gateway on a small machine busy; every further request waits here instead of there. */
const SOCKETS_MAX = 100;

/** Faults of a connection that never came to be. */
const NOT_CONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

/** A client of one base URL over a bounded number of kept connections. Times are in ms. */
export function createHttpClient(
  baseUrl: string,
  { socketsMax = SOCKETS_MAX, answerMsMax = ANSWER_MS_MAX } = {},
): HttpClient {
  const base = baseUrl.replace(/\/+$/, '');
  const secure = base.startsWith('https:');
  const agentOptions = { keepAlive: true, maxSockets: socketsMax };
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  const request = secure ? httpsRequest : httpRequest;

  const send = (
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: string,
  ): Promise<HttpAnswer> =>
    new Promise((resolve, reject) => {
      const headers =
        body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const outgoing = request(`${base}${path}`, { method, agent, headers }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.once('error', fail);
        incoming.once('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text });
        });
      });
      const fail = (cause: Error) => {
        const code = 'code' in cause ? String(cause.code) : '';
        const mayHaveArrived = !NOT_CONNECTED.includes(code);
        reject(new NoAnswerError(describeError(cause), { mayHaveArrived, cause }));
      };
      // Counts from the moment the request has a socket, not while it waits for one.
      outgoing.setTimeout(answerMsMax, () => {
        outgoing.destroy(new Error(`no answer within ${answerMsMax} ms`));
      });
      outgoing.once('error', fail);
      outgoing.end(body);
    });

  return {
    get: (path) => send('GET', path),
    post: (path, body) => send('POST', path, JSON.stringify(body)),
    delete: (path) => send('DELETE', path),
    close: () => {
      agent.destroy();
    },
  };
}
