import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import Stripe from 'stripe';

/** The version of the API by which requests and answers are read, whatever the account's own is. */
const API_VERSION = '2026-10-28.endive';

/** Several requests of a charge fit into the 10 s of an activity attempt. */
const TIMEOUT_MS = 3_000;

/**
 * Requests of one process at once. Stripe takes 100 a second of an account in live mode and 25 in test mode; at its usual
 * 200 ms and more an answer these are fewer than 100.
 */
const AT_ONCE_MAX = 20;

/** How long a request waits for its turn, and for the rate limit to let it through. */
const WAIT_MS_MAX = 5_000;

/** After a 429 that does not say how long to wait: half a second to a whole one. */
const PAUSE_MS = 500;

/** However long a 429 says: one odd answer must not stop all money of a process. */
const PAUSE_MS_MAX = 30_000;

type HttpClient = ReturnType<typeof Stripe.createNodeHttpClient>;
type SentRequest = Parameters<HttpClient['makeRequest']>;

export interface StripeConnection {
  readonly secretKey: string;
  /** The time limit of one request with its whole response, in ms. A charge makes three or four, and one more after a failure. */
  readonly timeoutMs?: number;
  /** Base URL of the API, for tests; Stripe's own by default. */
  readonly apiUrl?: string;
}

export function connectStripe({
  secretKey,
  timeoutMs = TIMEOUT_MS,
  apiUrl,
}: StripeConnection): Stripe {
  // No retries here: the caller retries by its own policy, and two policies multiply.
  const config = {
    apiVersion: API_VERSION,
    timeout: timeoutMs,
    maxNetworkRetries: 0,
    telemetry: false,
    httpClient: paced(Stripe.createNodeHttpClient()),
  } as const;
  if (apiUrl === undefined) return new Stripe(secretKey, config);
  const { protocol, hostname: host, port } = new URL(apiUrl);
  return new Stripe(secretKey, {
    ...config,
    host,
    port: port || (protocol === 'http:' ? 80 : 443),
    protocol: protocol === 'http:' ? 'http' : 'https',
  });
}

/**
 * Keeps to Stripe's rate limit, also when thousands of orders reach their deadline at the same moment: few requests at once,
 * and after a 429, which has no effect, the whole process pauses and sends the request again. One that has waited too long
 * fails, and its caller's retries spread it.
 */
function paced(client: HttpClient): HttpClient {
  const waiting: (() => void)[] = [];
  let free = AT_ONCE_MAX;
  let pausedUntil = 0;

  const sendUntil = async (
    giveUpAt: number,
    request: SentRequest,
  ): ReturnType<HttpClient['makeRequest']> => {
    for (;;) {
      const sendAt = Math.max(pausedUntil, Date.now());
      if (sendAt > giveUpAt) throw new Error('Too many requests wait for Stripe');
      if (sendAt > Date.now()) {
        await sleep(sendAt - Date.now());
        continue;
      }
      const response = await sendWithin(client, request);
      if (response.getStatusCode() !== 429) return response;
      const seconds = Number(response.getHeaders()['retry-after']);
      const pause =
        seconds > 0 ? Math.min(seconds * 1_000, PAUSE_MS_MAX) : PAUSE_MS * (1 + Math.random());
      pausedUntil = Math.max(pausedUntil, Date.now() + pause);
      if (pausedUntil > giveUpAt) return response;
      await response.toJSON();
    }
  };

  return {
    getClientName: () => client.getClientName(),
    async makeRequest(...request: SentRequest) {
      const giveUpAt = Date.now() + WAIT_MS_MAX;
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await sendUntil(giveUpAt, request);
      } finally {
        const next = waiting.shift();
        if (next) next();
        else free++;
      }
    },
  };
}

/** Bounds the whole response: the library's own limit is of a silent socket, which a dripping server never reaches. */
function sendWithin(
  client: HttpClient,
  request: SentRequest,
): ReturnType<HttpClient['makeRequest']> {
  const timeoutMs = request[7];
  return new Promise((resolve, reject) => {
    let body: IncomingMessage | undefined;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      const error = new Error(`Stripe has taken more than ${timeoutMs} ms`);
      body?.destroy(error);
      reject(error);
    }, timeoutMs);
    const sent = client.makeRequest(...request);
    sent.catch(() => {
      clearTimeout(timer);
    });
    sent.then((response) => {
      body = response.getRawResponse() as IncomingMessage;
      body.once('close', () => {
        clearTimeout(timer);
      });
      if (isLate) body.destroy();
      resolve(response);
    }, reject);
  });
}

/** Whether Stripe received the request and refused it. Otherwise its outcome is unknown. */
export function wasAnswered(error: unknown): boolean {
  return error instanceof Stripe.errors.StripeError && error.statusCode !== undefined;
}

/** A replayed response shows its object as it was when it was created. */
export function isReplayed({ lastResponse }: Stripe.Response<unknown>): boolean {
  return lastResponse.headers['idempotent-replayed'] === 'true';
}
