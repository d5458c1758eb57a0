import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import type { Gateway } from '../../client/gateway';

/** Acts on the payment page as its buyer does. Throws only when the signal is aborted. */
export type ActOnPage = (action: string) => Promise<void>;

const POLL_MS = 1_000;
const REPLY_MS_MAX = 10_000;

/**
 * Opens the page of an order's payment, and tries again, as people do. Undefined: the order is decided, or there was no page
 * within `withinMs`. `payBy` is in ms since the epoch. Throws only when the signal is aborted.
 */
export async function openPaymentPage(
  gateway: Pick<Gateway, 'order'>,
  requestId: string,
  { withinMs, signal }: { readonly withinMs: number; readonly signal: AbortSignal },
): Promise<{ readonly act: ActOnPage; readonly payBy: number } | undefined> {
  const givenUpAt = Date.now() + withinMs;
  while (Date.now() < givenUpAt) {
    const order = await gateway.order(requestId).catch(() => undefined);
    if (order && !['queued', 'reserved', 'awaiting-payment'].includes(order.status)) return;
    const { url, pay_by: payBy = '' } = order?.payment ?? {};
    if (url !== undefined) {
      const act: ActOnPage = (action) => send(url, action, { until: givenUpAt, signal });
      return { act, payBy: Date.parse(payBy) };
    }
    await sleep(POLL_MS, undefined, { signal });
  }
  return undefined;
}

/** Sends what the buyer does until the page answers. */
async function send(
  url: string,
  action: string,
  { until, signal }: { readonly until: number; readonly signal: AbortSignal },
): Promise<void> {
  while (Date.now() < until) {
    try {
      const { body } = await request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ action }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(REPLY_MS_MAX)]),
      });
      await body.dump();
      return;
    } catch {
      // The provider is dead, or was in the middle of it.
      signal.throwIfAborted();
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}
