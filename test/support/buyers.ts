import { buyUntilDefinite } from '../../client/buyer';
import { createGateway, type BuyBody, type Gateway } from '../../client/gateway';
import { createHttpClient, NoReplyError } from '../../client/http-client';

export type { BuyBody };

/** The gateway's response. The status is 0 if the connection broke. */
export interface BuyResponse {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Few enough sockets for a small machine, and enough that the client is not the bottleneck. */
const SOCKETS_MAX = 128;
const httpClients = new Map<string, ReturnType<typeof createHttpClient>>();
const gateways = new Map<string, Gateway>();

/** Posts a purchase, or any other body unchanged. Rejects only on errors other than a missing response. */
export async function buy(
  gateway: string,
  body: BuyBody | string | Buffer,
  contentType?: string,
): Promise<BuyResponse> {
  const client = httpClients.get(gateway) ?? createHttpClient(gateway, { socketsMax: SOCKETS_MAX });
  httpClients.set(gateway, client);
  const raw = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  try {
    const { status, text } = await client.send('POST', '/buy', raw, contentType);
    return { status, body: JSON.parse(text) as BuyResponse['body'] };
  } catch (error) {
    if (!(error instanceof NoReplyError)) throw error;
    return { status: 0, body: {} };
  }
}

/** Repeats a request until it is decided. Returns whether there is an order, and the number of tries. */
export async function buyUntilDecided(url: string, body: BuyBody, withinMs = 60_000) {
  const gateway = gateways.get(url) ?? createGateway(url, { socketsMax: SOCKETS_MAX });
  gateways.set(url, gateway);
  const bounds = { withinMs, retryMsMax: 50 };
  const { outcome, problem, tries } = await buyUntilDefinite(gateway, body, bounds);
  const accepted = outcome === 'accepted' || outcome === 'duplicate';
  if (!accepted) expect([outcome, problem]).toEqual(['rejected', 'sold-out']);
  return { body, accepted, tries };
}

/** Repeats a request until it is decided: true if there is an order, false if the item is sold out. */
export async function insist(url: string, body: BuyBody): Promise<boolean> {
  return (await buyUntilDecided(url, body)).accepted;
}

export async function getJson(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url);
  return (await response.json()) as Record<string, unknown>;
}
