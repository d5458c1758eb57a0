import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** Returns the response; `hang up` closes the connection without one. */
export type Responder = (request: ReceivedRequest) => Reply | 'hang up';

/** An HTTP server on a free port that responds as `respond` says. Unlike the gateway it does not check requests. */
export async function startFakeGateway(respond: Responder) {
  const received: ReceivedRequest[] = [];
  const server = createServer((request, response) => {
    void readBody(request).then((text) => {
      const { method = '', url: path = '' } = request;
      const asked = {
        method,
        path,
        body: text === '' ? undefined : (JSON.parse(text) as unknown),
      };
      received.push(asked);
      write(response, respond(asked));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function write(response: ServerResponse, reply: Reply | 'hang up'): void {
  if (reply === 'hang up') {
    response.destroy();
    return;
  }
  response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers });
  response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
}

/** An order as GET /orders shows it. */
export function anOrderBody(fields: Readonly<Record<string, unknown>> = {}) {
  return {
    request_id: 'req-1',
    item_id: '101',
    user_id: 'u1',
    amount: 2,
    status: 'confirmed',
    reason: null,
    payment_id: 'pay-7',
    generation: 1,
    accepted_at: '2026-11-24T10:00:00.000Z',
    finished_at: '2026-11-24T10:00:01.000Z',
    timeline: [
      { at: '2026-11-24T10:00:00.000Z', state: 'held' },
      { at: '2026-11-24T10:00:01.000Z', state: 'sold' },
    ],
    links: { self: '/orders/req-1', events: '/orders/req-1/events' },
    ...fields,
  };
}

/** An item as GET /items shows it. */
export function anItemBody(fields: Readonly<Record<string, unknown>> = {}) {
  return {
    item_id: '101',
    free: 90,
    held: 1,
    queued: 2,
    reserved: 3,
    sold: 4,
    supply: 100,
    price_minor: 1000,
    currency: 'USD',
    units_per_user: null,
    opens_at: null,
    closes_at: null,
    pay: 'charge',
    pay_within_seconds: null,
    ...fields,
  };
}

export function aProblem(status: number, type: string, fields: object = {}): Reply {
  const body = { type: `/problems/${type}`, title: `title of ${type}`, status, detail: 'detail' };
  return { status, body: { ...body, ...fields } };
}

export const ACCEPTED: Reply = {
  status: 202,
  body: {
    request_id: 'req-1',
    status: 'queued',
    links: { self: '/orders/req-1', events: '/orders/req-1/events' },
  },
};
