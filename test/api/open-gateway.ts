import { pino } from 'pino';
import { createGateway, type Gateway, type GatewayParts } from '../../api/gateway';
import { closeHttpServer, createHttpServer, listen } from '../../api/http/server';
import { createFakeStock, type FakeStock } from '../support/fake-stock';
import { createFakePublisher, type FakePublisher } from './fake-publisher';
import type { ItemId } from '../../engine/orders/order';

export const ITEM = '101' as ItemId;

export interface OpenGateway {
  readonly url: string;
  readonly port: number;
  /** The listener of operators. */
  readonly adminUrl: string;
  readonly stock: FakeStock;
  readonly publisher: FakePublisher;
  /** The log of cancellations. */
  readonly cancellations: FakePublisher;
  readonly gateway: Gateway;
  /** Lines of the log, parsed. */
  readonly logged: Record<string, unknown>[];
  readonly close: () => Promise<void>;
}

/** A gateway on free ports before a stock of `units` of item 101. `change` replaces what the gateway is given. */
export async function openGateway({
  units = 10,
  bounds = {},
  change = () => ({}),
}: {
  units?: number;
  bounds?: Parameters<typeof createHttpServer>[2];
  change?: (parts: { stock: FakeStock; publisher: FakePublisher }) => Partial<GatewayParts>;
} = {}): Promise<OpenGateway> {
  const stock = createFakeStock();
  await stock.setFree(ITEM, units);
  const publisher = createFakePublisher();
  const cancellations = createFakePublisher();
  const logged: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'debug' },
    { write: (line: string) => logged.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const parts: GatewayParts = {
    admission: stock.admission,
    ledgers: { resolve: ({ known }) => Promise.resolve(known ? 'opened' : 'unknown') },
    ledger: stock.ledger,
    publisher,
    cancellations,
    probes: { redis: () => true, kafka: () => true },
    defaultPrice: { priceMinor: 1000, currency: 'USD' },
    logger,
    ...change({ stock, publisher }),
  };
  const gateway = createGateway(parts);
  const server = createHttpServer(gateway.listener, gateway.server, bounds);
  const port = await listen(server, '127.0.0.1', 0);
  const adminServer = createHttpServer(gateway.adminListener, gateway.server);
  const adminPort = await listen(adminServer, '127.0.0.1', 0);
  const close = async () => {
    publisher.acknowledge();
    cancellations.acknowledge();
    await Promise.all([closeHttpServer(server, 0), closeHttpServer(adminServer, 0)]);
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    stock,
    publisher,
    cancellations,
    gateway,
    logged,
    close,
  };
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** Reads a JSON answer. */
export async function reply(response: Response): Promise<Reply> {
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body };
}

export const PURCHASE = { user_id: 'u1', item_id: '101', amount: 1, request_id: 'req-1' };

/** Sends a purchase; `fields` differ from PURCHASE. */
export async function buy(
  { url }: Pick<OpenGateway, 'url'>,
  fields: Record<string, unknown> = {},
): Promise<Reply> {
  return reply(
    await fetch(`${url}/buy`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...PURCHASE, ...fields }),
    }),
  );
}

/** Waits until something holds, at most 3 s. */
export async function until(condition: () => unknown): Promise<void> {
  const deadline = Date.now() + 3_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Not within 3 s: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
