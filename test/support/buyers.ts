import { buyUntilDefinite } from '../../client/buyer';
import { createGateway, type BuyBody } from '../../client/gateway';
import { createHttpClient, NoReplyError } from '../../client/http-client';

export type { BuyBody };

/** What the gateway answered; status 0 when the connection broke. */
export interface BuyAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Enough sockets for a small machine without making the client the bottleneck. */
const SOCKETS_MAX = 128;
const clients = new Map<string, ReturnType<typeof createHttpClient>>();

/** Posts one purchase, or any other body as it is, and never rejects. */
export async function buy(
  gateway: string,
  body: BuyBody | string | Buffer,
  contentType?: string,
): Promise<BuyAnswer> {
  const client = clients.get(gateway) ?? createHttpClient(gateway, { socketsMax: SOCKETS_MAX });
  clients.set(gateway, client);
  const raw = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  try {
    const { status, text } = await client.send('POST', '/buy', raw, contentType);
    return { status, body: JSON.parse(text) as BuyAnswer['body'] };
  } catch (error) {
    if (!(error instanceof NoReplyError)) throw error;
    return { status: 0, body: {} };
  }
}

const INSIST_MS_MAX = 60_000;

/** Sends the same request until it is decided: true when there is an order of it, false when it is sold out. */
export async function insist(gateway: string, body: BuyBody): Promise<boolean> {
  const client = createGateway(gateway);
  try {
    const { outcome, problem } = await buyUntilDefinite(client, body, {
      withinMs: INSIST_MS_MAX,
      retryMsMax: 50,
    });
    const ordered = outcome === 'accepted' || outcome === 'duplicate';
    if (!ordered) expect([outcome, problem]).toEqual(['rejected', 'sold-out']);
    return ordered;
  } finally {
    client.close();
  }
}

export async function getJson(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url);
  return (await response.json()) as Record<string, unknown>;
}
