import { Agent, request } from 'node:http';
import { eventually } from './eventually';

/** What the gateway answered; status 0 when the connection broke. */
export interface BuyAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface BuyBody {
  readonly user_id: string;
  readonly item_id: string;
  readonly amount: number;
  readonly request_id: string;
}

/** As many sockets as a small machine serves without turning the client into the bottleneck. */
const agent = new Agent({ keepAlive: true, maxSockets: 128 });

/** Posts one purchase, or any other body as it is, and never rejects. */
export function buy(
  gateway: string,
  body: BuyBody | string | Buffer,
  contentType = 'application/json',
) {
  const raw = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return new Promise<BuyAnswer>((resolve) => {
    const call = request(
      `${gateway}/buy`,
      { method: 'POST', agent, headers: { 'content-type': contentType } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const body = JSON.parse(Buffer.concat(chunks).toString()) as BuyAnswer['body'];
          resolve({ status: response.statusCode ?? 0, body });
        });
        response.on('error', () => {
          resolve(BROKEN);
        });
      },
    );
    call.on('error', () => {
      resolve(BROKEN);
    });
    call.end(raw);
  });
}

const BROKEN: BuyAnswer = { status: 0, body: {} };

/** Tries the same request until it is decided, as a browser's retry would: true when there is an order of it. */
export async function insist(gateway: string, body: BuyBody): Promise<boolean> {
  return eventually(
    `${body.request_id} is decided`,
    async () => {
      const { status, body: answer } = await buy(gateway, body);
      const type = String(answer['type']);
      if (status === 202 || type === '/problems/duplicate-request') return { accepted: true };
      expect([0, 503, 409]).toContain(status);
      return type === '/problems/sold-out' && { accepted: false };
    },
    60_000,
  ).then(({ accepted }) => accepted);
}

export async function getJson(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url);
  return (await response.json()) as Record<string, unknown>;
}

export interface Charge {
  readonly key: string;
  readonly status: 'captured' | 'declined' | 'refunded' | 'blocked';
  readonly amount: number;
}

/** The provider's own book, for the orders whose request_id begins with `prefix`. */
export async function chargesOf(payments: string, prefix: string): Promise<Charge[]> {
  const ledger = (await (await fetch(`${payments}/ledger`)).json()) as Charge[];
  return ledger.filter(({ key }) => key.startsWith(prefix));
}
