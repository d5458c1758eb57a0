import { setTimeout as sleep } from 'node:timers/promises';
import { buyUntilDefinite, cancelUntilDefinite, isOrder, type Purchase } from '../../client/buyer';
import { createGateway, type BuyBody } from '../../client/gateway';
import { until } from '../../platform/until';
import { describeError } from '../../platform/user-error';
import { hasTrait } from './orders-plan';

/** How a purchase ended for its buyer. */
export interface BuyerResult extends Omit<Purchase, 'response'> {
  /**
   * What a buyer was told who cancelled: `cancelled` for good, or too late, as the order was `confirmed` or `failed`;
   * `undecided`: no definite response in time; `wrong`: a response that a cancellation must never get. Absent: they did
   * not cancel.
   */
  readonly cancelled?: 'cancelled' | 'confirmed' | 'failed' | 'undecided' | 'wrong';
}

/** Longer than any recovery: a gateway restarts, ingest rejoins its group, a lease ends, a frozen step times out. */
const DECIDED_MS_MAX = 90_000;
/** A gateway may ask for a longer delay. */
const RETRY_MS_MAX = 1_000;
const SOCKETS_MAX = 64;

/** A worker that is dead or busy reserves late; an order that is still queued then is cancelled in that state. */
const RESERVED_MS_MAX = 60_000;
const POLL_MS = 100;
const READ_MS_MAX = 10_000;

export type Buyers = ReturnType<typeof createBuyers>;

/** Buyers at one gateway, each of whom waits `replyMsMax` for a response before they retry on another connection. */
export function createBuyers(
  gatewayUrl: string,
  { replyMsMax, signal }: { readonly replyMsMax: number; readonly signal: AbortSignal },
) {
  const gateway = createGateway(gatewayUrl, { socketsMax: SOCKETS_MAX, replyMsMax });
  const bounds = { withinMs: DECIDED_MS_MAX, retryMsMax: RETRY_MS_MAX, signal };

  const cancel = async (body: BuyBody): Promise<BuyerResult['cancelled']> => {
    const order = { requestId: body.request_id, userId: body.user_id };
    const deadline = Date.now() + RESERVED_MS_MAX;
    const isQueued = async () => {
      // A frozen or dead gateway gives no response: the order counts as queued.
      const found = await gateway.order(order.requestId).catch(() => undefined);
      return found === undefined || found.status === 'queued';
    };
    while (!hasTrait(body, 'cancelled-at-once') && Date.now() < deadline && (await isQueued())) {
      await sleep(POLL_MS, undefined, { signal });
    }
    const { response, problem } = await cancelUntilDefinite(gateway, order, bounds);
    if (response === undefined) return 'undecided';
    if (response.kind === 'cancelled') return 'cancelled';
    if (response.kind !== 'problem' || problem !== 'too-late-to-cancel') return 'wrong';
    return response.body.reason === 'confirmed' ? 'confirmed' : 'failed';
  };
  return {
    gateway,
    /** Buys until the response is definite, and cancels what its plan says. Throws only when the signal is aborted. */
    buy: async (body: BuyBody): Promise<BuyerResult> => {
      const purchase = await buyUntilDefinite(gateway, body, bounds);
      const cancels = hasTrait(body, 'cancelled') || hasTrait(body, 'cancelled-at-once');
      if (!isOrder(purchase) || !cancels) return purchase;
      const cancelled = await cancel(body);
      return { ...purchase, ...(cancelled && { cancelled }) };
    },
    /** Status by request_id, as the gateway tells it. */
    statusesOf: async (requestIds: readonly string[]): Promise<Map<string, string>> => {
      const statuses = new Map<string, string>();
      for (const id of requestIds) {
        const read = () =>
          gateway.order(id).catch((error: unknown) => {
            throw new Error(describeError(error), { cause: error });
          });
        // A busy Temporal may leave the gateway without an answer, which is then a 503: the buyer asks again.
        const order = await until('the order cannot be read', read, {
          withinMs: READ_MS_MAX,
          signal,
        }).catch((error: unknown) => ({ status: `unreadable: ${describeError(error)}` }));
        if (order) statuses.set(id, order.status);
      }
      return statuses;
    },
    close: gateway.close,
  };
}
