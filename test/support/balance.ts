import { readCharges, waitUntilIdle } from '../../client/snapshot';
import { getJson } from './buyers';

/** Base URLs of a running engine. */
export interface EngineUrls {
  readonly gateway: string;
  readonly payments: string;
}

/** Waits until no unit of the item is held, queued or reserved, and returns its stock. */
export async function whenIdle(
  engine: Pick<EngineUrls, 'gateway'>,
  itemId: string,
  withinMs = 60_000,
): Promise<Record<string, unknown>> {
  let stock: Record<string, unknown> = {};
  const look = async () => {
    stock = await getJson(`${engine.gateway}/items/${itemId}`);
    const open = Number(stock['held']) + Number(stock['queued']) + Number(stock['reserved']);
    return open === 0 ? undefined : `item ${itemId} is ${JSON.stringify(stock)}`;
  };
  await waitUntilIdle(look, { withinMs, pollMs: 50 });
  return stock;
}

/**
 * Compares the engine's parts once the item is idle: every accepted order has one final outcome, sold and free units make
 * the supply, and the provider has exactly one charge for each confirmed order and none for others.
 */
export async function expectBalance(
  engine: EngineUrls,
  sale: {
    itemId: string;
    supply: number;
    accepted: readonly { request_id: string; amount: number }[];
  },
): Promise<{ confirmed: number; failed: number }> {
  const stock = await whenIdle(engine, sale.itemId);
  const orders = await Promise.all(
    sale.accepted.map(async ({ request_id, amount }) => {
      const { status } = await getJson(`${engine.gateway}/orders/${request_id}`);
      return { request_id, amount, status };
    }),
  );
  const confirmed = orders.filter(({ status }) => status === 'confirmed');
  const failed = orders.filter(({ status }) => status === 'failed');
  expect(orders.filter(({ status }) => status !== 'confirmed' && status !== 'failed')).toEqual([]);

  const sold = confirmed.reduce((sum, { amount }) => sum + amount, 0);
  expect(stock).toMatchObject({ free: sale.supply - sold, sold, supply: sale.supply });

  const charges = await readCharges(engine.payments, sale.itemId);
  const captured = charges.filter(({ status }) => status === 'captured');
  const paidFor = captured.map(({ key }) => key.split(':')[0]).sort();
  expect(paidFor).toEqual(confirmed.map(({ request_id }) => request_id).sort());
  const paid = captured.reduce((sum, { amount }) => sum + (amount ?? 0), 0);
  expect(paid).toBe(sold * 1000);
  return { confirmed: confirmed.length, failed: failed.length };
}
