import { asyncLocalStorage, type Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { createOrderActivities } from '../../activities/order-activities';
import { anOrder, aPurchase } from '../support/purchases';

type Clients = Parameters<typeof createOrderActivities>[0];

const refuses = () => Promise.reject(new Error('NOLEDGER the ledger of 101 is lost'));
const { reserveStock, releaseStock, refundPayment, confirmSale } = createOrderActivities({
  ledger: { reserve: refuses, release: refuses, isRefundable: refuses, confirm: refuses },
} as unknown as Clients);

const order = anOrder(aPurchase());
const fence = 1;
const step = { ...order, generation: 1 };
const parked: [string, () => Promise<unknown>][] = [
  ['reserve', () => reserveStock({ order, fence })],
  ['release', () => releaseStock({ order, fence, reason: 'sale-lost' })],
  ['refund', () => refundPayment(step)],
];

/** The delay that the failure of an attempt asks the server for. */
async function delayAfter(attempt: number, use: () => Promise<unknown>) {
  const context = { info: { attempt } } as unknown as Context;
  const failed = asyncLocalStorage.run(context, use);
  const error = await failed.catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(ApplicationFailure);
  return (error as { readonly nextRetryDelay?: unknown }).nextRetryDelay;
}

describe.each(parked)('%s of an item whose ledger cannot be read', (_, use) => {
  test('is soon tried again, and later at the pace of all parked orders', async () => {
    expect(await delayAfter(8, use)).toBeUndefined();
    expect(await delayAfter(9, use)).toBeGreaterThan(59_000);
  });
});

test('a confirmation keeps its own delays: its money is taken', async () => {
  const confirm = () => confirmSale({ ...step, fence, paymentId: 'p1' });
  expect(await delayAfter(9, confirm)).toBeUndefined();
});
