import type { Redis } from 'ioredis';
import type { ItemId, Order, OrderId } from '../../engine/orders/order';
import { createLedgerOfRecord } from '../../engine/archive/ledger-of-record';
import { itemKeys, ordersKey, rejectionsKey } from '../../engine/stock/keys';
import { anAttempt, anOrder, aPurchase } from '../support/purchases';
import { TOKEN, type RedisStock } from '../support/redis-stock';
import type { Entry, Generation, ProtocolLedger } from './model-ledger';

/** The protocol's ledger on the real scripts: an item of its own, one unit, orders of one unit each. */
export async function createRedisProtocolLedger(
  { redis, admission, ledger: stockLedger, maintenance, setFree }: RedisStock,
  itemId: ItemId,
): Promise<ProtocolLedger & { readonly remove: () => Promise<void> }> {
  await setFree(itemId, 1);
  // No order of this world is archived.
  const none = () => Promise.resolve(undefined);
  const archive = { endOf: none, endOfRequest: none };
  const ledger = createLedgerOfRecord(stockLedger, archive);
  const keys = [...itemKeys(itemId), rejectionsKey(itemId)];
  const orders = new Map<string, Order>();
  const orderOf = (name: string): Order => {
    const known =
      orders.get(name) ?? anOrder(aPurchase({ itemId, requestId: `${itemId}-${name}` }));
    orders.set(name, known);
    return known;
  };
  const withId = (name: string, orderId: string): Order => ({
    ...orderOf(name),
    orderId: orderId as OrderId,
  });
  const generationOf = (name: string, { orderId, generation }: Generation) => ({
    ...withId(name, orderId),
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
      const [queued] = await admission.queue([withId(name, orderId)]);
      if (typeof queued !== 'boolean') throw queued ?? new Error('no answer');
      return queued;
    },
    async reserve(name, { orderId, fence, isFirst, run }) {
      const start = isFirst ? 'first' : 'again';
      const asking = { start, runId: run, acceptedMsMax: Number.MAX_SAFE_INTEGER } as const;
      const answer = await ledger.reserve(withId(name, orderId), fence, asking);
      const { kind, owed } = answer;
      if (kind === 'mismatch' || kind === 'limit' || kind === 'expired') {
        throw new Error(`unexpected in this world: ${kind}`);
      }
      const generation = 'generation' in answer ? answer.generation : 0;
      return { kind, owed, orderId: answer.order?.orderId ?? '', generation };
    },
    confirm: async (name, { fence, ...generation }) =>
      (await ledger.confirm({ ...generationOf(name, generation), fence, paymentId: 'p' })).kind,
    async release(name, { orderId, fence }) {
      const step = { order: withId(name, orderId), fence, reason: 'sale-lost' } as const;
      const answer = await ledger.release(step);
      const { kind, owed } = answer;
      const cancelled = kind === 'released' && answer.cancelledByBuyer === true;
      return { kind, owed, orderId: answer.orderId ?? '', cancelled };
    },
    abandon: (name, orderId) =>
      stockLedger.abandon({ ...withId(name, orderId), reason: 'request-id-reused' }),
    async cancel(name) {
      const { kind } = await ledger.cancel(orderOf(name));
      if (kind === 'not-the-buyer') throw new Error('one order, two buyers');
      return kind;
    },
    isRefundable: (name, generation) => ledger.isRefundable(generationOf(name, generation)),
    resolveCharge: (name, generation) => ledger.resolveCharge(generationOf(name, generation)),
    async lose() {
      await redis.del(...keys);
    },
    async rebuild(entries, supply) {
      const rebuildId = await maintenance.beginRebuild(itemId);
      const restored = [...entries].map(([name, entry]) => {
        const { requestId, userId, fingerprint } = orderOf(name);
        return [requestId, { ...entry, userId, fingerprint }] as const;
      });
      await maintenance.stageEntries(itemId, rebuildId, new Map(restored));
      const ledger = { rebuildId, token: TOKEN, given: 'supply', units: supply } as const;
      const { kind } = await maintenance.finishRebuild(itemId, { ...ledger, by: 'a', why: 'test' });
      if (kind === 'open') throw new Error('the ledger was not lost');
      return kind;
    },
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
      const claims = [...orders.values()].map(({ requestId }) => `idempotency:${requestId}`);
      await redis.del(...keys, ...claims);
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
  const stored = JSON.parse(raw) as Omit<Entry, 'owed' | 'orderId'> & {
    order_id?: string;
    owed: string;
    lease_until?: number;
    cancelled_by_buyer?: true;
    reason?: string;
  };
  return {
    orderId: stored.order_id ?? '',
    state: stored.state,
    generation: stored.generation,
    fence: stored.fence,
    owed: stored.owed.split(',').filter(Boolean).map(Number),
    run: stored.run,
    refused: stored.reason === 'sold-out' || undefined,
    ...(stored.cancelled_by_buyer && { cancelled: true }),
    ...(stored.token !== undefined && { token: stored.token, leased: stored.lease_until !== 1 }),
  };
}
