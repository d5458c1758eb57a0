import type { Redis } from 'ioredis';
import type { ItemId, Order, OrderId } from '../../engine/orders/order';
import { ordersKey } from '../../engine/stock/keys';
import { anAttempt, anOrder, aPurchase } from '../support/purchases';
import type { RedisStock } from '../support/redis-stock';
import type { Entry, ProtocolLedger } from './model-ledger';

/** The protocol's ledger on the real scripts: an item of its own, one unit, orders of one unit each. */
export async function createRedisProtocolLedger(
  { redis, admission, ledger, setFree }: RedisStock,
  itemId: ItemId,
): Promise<ProtocolLedger & { readonly remove: () => Promise<void> }> {
  await setFree(itemId, 1);
  const orders = new Map<string, Order>();
  const orderOf = (name: string): Order => {
    const known =
      orders.get(name) ?? anOrder(aPurchase({ itemId, requestId: `${itemId}-${name}` }));
    orders.set(name, known);
    return known;
  };
  // As its runs were told. It stays, since an entry that a run has met is never removed.
  const orderIds = new Map<string, OrderId | undefined>();
  const generationOf = (name: string, generation: number) => ({
    ...orderOf(name),
    orderId: orderIds.get(name),
    generation,
  });

  return {
    async hold(name, token) {
      const [verdict] = await admission.claimAndHold([anAttempt(orderOf(name), token)]);
      if (!verdict || verdict instanceof Error) throw verdict ?? new Error('no verdict');
      const { kind } = verdict.hold;
      if (kind === 'held') return { kind, orderId: verdict.hold.orderId ?? '' };
      if (kind === 'in-progress' || kind === 'exists' || kind === 'sold-out') return { kind };
      throw new Error(`unexpected in this world: ${kind}`);
    },
    async undo(name, token) {
      await admission.undo([{ ...orderOf(name), token, undoHold: true, dropClaim: false }]);
    },
    async reject(name) {
      const [answer] = await admission.reject([orderOf(name)]);
      if (!answer || answer instanceof Error) throw answer ?? new Error('no answer');
      return answer.kind;
    },
    async queue(name, orderId) {
      const order = { ...orderOf(name), orderId: orderId as OrderId };
      const [queued] = await admission.queue([order]);
      if (typeof queued !== 'boolean') throw queued ?? new Error('no answer');
      return queued;
    },
    async reserve(name, fence) {
      const answer = await ledger.reserve(orderOf(name), fence);
      const { kind, owed } = answer;
      if (kind === 'mismatch' || kind === 'limit' || kind === 'ended' || kind === 'expired') {
        throw new Error(`unexpected in this world: ${kind}`);
      }
      orderIds.set(name, answer.order?.orderId);
      return { kind, owed, generation: 'generation' in answer ? answer.generation : 0 };
    },
    confirm: async (name, generation, fence) =>
      (await ledger.confirm({ ...generationOf(name, generation), fence, paymentId: 'p' })).kind,
    async release(name, fence) {
      const step = { order: orderOf(name), fence, reason: 'sale-lost' } as const;
      const answer = await ledger.release(step);
      const { kind, owed } = answer;
      orderIds.set(name, answer.orderId);
      return { kind, owed, cancelled: kind === 'released' && answer.cancelledByBuyer === true };
    },
    async cancel(name) {
      const { kind } = await ledger.cancel(orderOf(name));
      if (kind === 'not-the-buyer') throw new Error('one order, two buyers');
      return kind;
    },
    isRefundable: (name, generation) => ledger.isRefundable(generationOf(name, generation)),
    resolveCharge: (name, generation) => ledger.resolveCharge(generationOf(name, generation)),
    endLease: (name) => endLease(redis, orderOf(name)),
    async look() {
      const [free, stored] = await Promise.all([
        redis.get(`inventory:${itemId}`),
        redis.hgetall(ordersKey(itemId)),
      ]);
      const entries: Record<string, Entry> = {};
      for (const [name, { requestId }] of orders) {
        const raw = stored[requestId];
        if (raw !== undefined) entries[name] = toEntry(raw);
      }
      return { free: Number(free), entries };
    },
    async remove() {
      const keys = ['orders', 'counts', 'buyers', 'leases', 'sale', 'events', 'rejections'];
      const claims = [...orders.values()].map(({ requestId }) => `idempotency:${requestId}`);
      await redis.del(
        `inventory:${itemId}`,
        ...keys.map((key) => `{inventory:${itemId}}:${key}`),
        ...claims,
      );
    },
  };
}

/** Leases end on the server's clock; a walk cannot wait, so it moves the end into the past. */
async function endLease(redis: Redis, order: Order): Promise<void> {
  const key = ordersKey(order.itemId);
  const raw = await redis.hget(key, order.requestId);
  if (raw === null) return;
  await redis.hset(
    key,
    order.requestId,
    JSON.stringify({ ...(JSON.parse(raw) as object), lease_until: 1 }),
  );
  await redis.zadd(`{inventory:${order.itemId}}:leases`, 1, order.requestId);
}

function toEntry(raw: string): Entry {
  const stored = JSON.parse(raw) as Omit<Entry, 'owed'> & {
    order_id?: string;
    owed: string;
    lease_until?: number;
    cancelled_by_buyer?: true;
  };
  return {
    orderId: stored.order_id,
    state: stored.state,
    generation: stored.generation,
    fence: stored.fence,
    owed: stored.owed.split(',').filter(Boolean).map(Number),
    ...(stored.cancelled_by_buyer && { cancelled: true }),
    ...(stored.token !== undefined && { token: stored.token, leased: stored.lease_until !== 1 }),
  };
}
