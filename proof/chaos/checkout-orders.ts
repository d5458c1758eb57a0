import { request } from 'undici';
import { createGateway, type BuyBody, type Gateway } from '../../client/gateway';
import { waitUntilIdle } from '../../client/snapshot';
import type { LedgerEntry } from '../../engine/orders/ledger';
import { paymentKey, type RequestId } from '../../engine/orders/order';
import { OPERATOR_TOKEN, type Instance } from './instance';
import { releaseReserved } from './interference';
import { GIVEN_BACK, hasTrait } from './orders-plan';
import { openPaymentPage } from './payment-page';

/** Long enough for a worker or a gateway to die and come back; orders whose time is over while one is frozen are cancelled. */
export const PAY_WITHIN_MS = 15_000;
const PAGE_MS_MAX = 3 * PAY_WITHIN_MS;

/** Longer than any freeze, and the wait for a dead worker's attempt, on a machine that is busy with other cases. */
const DONE_MS_MAX = 300_000;

/**
 * What happens to an accepted order of a sale in checkout: its buyer pays or does not, and money is given back, as its trait
 * says. Throws only when the signal is aborted.
 */
export async function payAndGiveBack(
  instance: Instance,
  gateway: Gateway,
  body: BuyBody,
): Promise<void> {
  const { ledger, signal } = instance;
  if (hasTrait(body, 'cancelled') || hasTrait(body, 'cancelled-at-once')) return;
  const bounds = { withinMs: PAGE_MS_MAX, signal };
  const page = await openPaymentPage(gateway, body.request_id, bounds);
  if (!page || hasTrait(body, 'walks-away')) return;
  if (hasTrait(body, 'late-money')) {
    await releaseReserved(ledger, body, await entryOf(instance, body), 'payment-deadline');
  }
  await page.act('approve');
  const isReturned = hasTrait(body, 'given-back') || hasTrait(body, 'dashboard');
  if (!isReturned || !(await isConfirmed(instance, body))) return;
  if (hasTrait(body, 'given-back')) await refundByOperator(instance, body);
  else await refundInDashboard(instance, body);
  await tryUntil(signal, async () => {
    const order = await gateway.order(body.request_id);
    return order?.refunded_minor === GIVEN_BACK.amountMinor;
  });
}

async function entryOf({ ledger }: Instance, body: BuyBody): Promise<LedgerEntry | undefined> {
  return (await ledger.findOrder(body.request_id as RequestId))?.entry;
}

async function isConfirmed(instance: Instance, body: BuyBody): Promise<boolean> {
  let state: string | undefined;
  await tryUntil(instance.signal, async () => {
    state = (await entryOf(instance, body))?.state;
    return state === 'sold' || state === 'released';
  });
  return state === 'sold';
}

/** The same request again and again, until it is done: what the harness checks afterwards shows whether it was. */
async function refundByOperator({ process, signal }: Instance, body: BuyBody): Promise<void> {
  const gateway = createGateway(process.api.adminUrl, { token: OPERATOR_TOKEN });
  const { amountMinor, restock } = GIVEN_BACK;
  const refund = { operation_id: 'op-1', amount_minor: amountMinor, restock, why: 'chaos' };
  await tryUntil(signal, async () => {
    const response = await gateway.refund(body.request_id, refund);
    return response.kind === 'refund' && response.body.status === 'succeeded';
  });
  gateway.close();
}

/** A refund that the engine has not asked for. */
async function refundInDashboard(instance: Instance, body: BuyBody): Promise<void> {
  const { paymentUrl, signal } = instance;
  const entry = await entryOf(instance, body);
  if (!entry) return;
  const { orderId, generation } = entry;
  const key = encodeURIComponent(paymentKey(body.request_id, orderId, generation));
  const { body: response } = await request(`${paymentUrl}/charges/${key}/refunds`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ amount: GIVEN_BACK.amountMinor }),
    signal,
  });
  await response.dump();
}

/** Tries, whatever is dead meanwhile; what was not done then shows when all is idle. Throws only when the signal is aborted. */
async function tryUntil(signal: AbortSignal, isDone: () => Promise<boolean>): Promise<void> {
  const look = async () => ((await isDone()) ? undefined : 'not done');
  await waitUntilIdle(look, { withinMs: DONE_MS_MAX, signal }).catch(() => {
    signal.throwIfAborted();
  });
}
