import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { describeError } from '../platform/user-error';

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** No complete reply came. `mayHaveArrived`: the request was sent, so the server may have executed it. */
export class NoReplyError extends Error {
  override readonly name = 'NoReplyError';
  readonly mayHaveArrived: boolean;

  constructor(message: string, options: { readonly mayHaveArrived: boolean; cause: unknown }) {
    super(message, { cause: options.cause });
    this.mayHaveArrived = options.mayHaveArrived;
  }
}

/** Longer than all deadlines of the gateway together, so that the caller gets the gateway's own response. */
const REPLY_MS_MAX = 15_000;

/** Enough to saturate a gateway on a small machine. Further requests wait in the client. */
const SOCKETS_MAX = 100;

/** Errors of a connection that was never established. */
const NOT_CONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

/** A client of one base URL over a bounded number of kept connections. `replyMsMax` is in ms; `token` says who sends. */
export function createHttpClient(
  baseUrl: string,
  {
    socketsMax = SOCKETS_MAX,
    replyMsMax = REPLY_MS_MAX,
    token,
  }: {
    readonly socketsMax?: number;
    readonly replyMsMax?: number;
    readonly token?: string | undefined;
  } = {},
) {
  const base = baseUrl.replace(/\/+$/, '');
  const secure = base.startsWith('https:');
  const agentOptions = { keepAlive: true, maxSockets: socketsMax };
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  const request = secure ? httpsRequest : httpRequest;
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };

  return {
    /** `path` begins with a slash. Throws NoReplyError when no complete reply comes. */
    send: (
      method: 'GET' | 'POST' | 'DELETE',
      path: string,
      body?: string | Buffer,
      contentType = 'application/json',
    ): Promise<HttpReply> =>
      new Promise((resolve, reject) => {
        const headers =
          body === undefined
            ? authorization
            : {
                ...authorization,
                'content-type': contentType,
                'content-length': Buffer.byteLength(body),
              };
        // The wait for a connection counts as well, and a reply that trickles ends in time.
        const signal = AbortSignal.timeout(replyMsMax);
        const fail = (cause: Error) => {
          const message = signal.aborted
            ? `no reply within ${replyMsMax} ms`
            : describeError(cause);
          reject(new NoReplyError(message, { mayHaveArrived: mayHaveArrived(cause), cause }));
        };
        const options = { method, agent, headers, signal };
        const outgoing = request(`${base}${path}`, options, (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.once('error', fail);
          incoming.once('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text });
          });
        });
        outgoing.once('error', fail);
        outgoing.end(body);
      }),
    /**
     * The reply to a GET, to be read as it comes. Throws NoReplyError when none begins; its own reading fails when it is cut
     * off, or when nothing more comes for so long as a whole reply may take.
     */
    open: (path: string): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const options = { method: 'GET', agent, headers: authorization, timeout: replyMsMax };
        const outgoing = request(`${base}${path}`, options, resolve);
        outgoing.once('timeout', () => {
          outgoing.destroy(new Error(`nothing came for ${replyMsMax} ms`));
        });
        outgoing.once('error', (cause: Error) => {
          const message = describeError(cause);
          reject(new NoReplyError(message, { mayHaveArrived: mayHaveArrived(cause), cause }));
        });
        outgoing.end();
      }),
    close: () => {
      agent.destroy();
    },
  };
}

function mayHaveArrived(cause: Error): boolean {
  return !NOT_CONNECTED.includes('code' in cause ? String(cause.code) : '');
}

/** Parses a reply. Throws for text that is no JSON, or names the first field that does not match the schema. */
export function parseJson<T extends TSchema>(schema: T, text: string): Static<T> {
  const value: unknown = JSON.parse(text);
  if (Value.Check(schema, value)) return value;
  const error = Value.Errors(schema, value).First();
  throw new Error(`${error?.path || 'the document'}: ${error?.message ?? 'not as documented'}`);
}
