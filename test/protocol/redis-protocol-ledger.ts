import type { Redis } from 'ioredis';
import type { ItemId, Order, OrderId, RequestId } from '../../engine/orders/order';
import type { EndedOrder } from '../../engine/archive/ended-orders';
import { createLedgerOfRecord } from '../../engine/archive/ledger-of-record';
import { countsKey, itemKeys, ordersKey, rejectionsKey } from '../../engine/stock/keys';
import { createLeavingOrders } from '../../engine/stock/leaving-orders';
import { anAttempt, anOrder, aPurchase } from '../support/purchases';
import { TOKEN, type RedisStock } from '../support/redis-stock';
import type { Acceptance, ModelArchive, OrderEnd } from './model-archive';
import { PAY_WITHIN_MS } from './saga-model';
import { endOfEntry, type Entry, type Generation, type ProtocolLedger } from './model-ledger';

/** The protocol's ledger on the real scripts: an item of its own, one unit, orders of one unit each. */
export async function createRedisProtocolLedger(
  { redis, admission, ledger: stockLedger, maintenance, setFree }: RedisStock,
  itemId: ItemId,
  archive: ModelArchive,
): Promise<ProtocolLedger & { readonly remove: () => Promise<void> }> {
  await setFree(itemId, 1);
  const ledger = createLedgerOfRecord(stockLedger, askedOf(archive, itemId));
  const leaving = createLeavingOrders(redis);
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
  const accepted = (name: string, { orderId, acceptedAt }: Acceptance): Order => ({
    ...withId(name, orderId),
    acceptedAt,
  });
  const archived = (name: string, { orderId, revision }: OrderEnd) => [
    { requestId: orderOf(name).requestId, orderId: orderId as OrderId, revision },
  ];
  const generationOf = (name: string, { orderId, generation }: Generation) => ({
    ...withId(name, orderId),
    generation,
  });

  return {
    async hold(name, token, at) {
      const [verdict] = await admission.claimAndHold([anAttempt(orderOf(name), token)]);
      if (!verdict || verdict instanceof Error) throw verdict ?? new Error('no verdict');
      const { kind } = verdict.hold;
      if (kind === 'held') {
        const { orderId = '' } = verdict.hold;
        const change = orderId === token ? { accepted_at: at } : {};
        const entry = await changeEntry(redis, orderOf(name), change);
        return { kind, orderId, acceptedAt: entry?.accepted_at ?? 0 };
      }
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
    async reserve(name, { fence, isFirst, isOld, run, pays, ...acceptance }) {
      const start = isFirst ? 'first' : 'again';
      const acceptedMsMax = isOld ? 0 : Number.MAX_SAFE_INTEGER;
      const asking = { start, runId: run, acceptedMsMax } as const;
      const order = { ...accepted(name, acceptance), ...(pays && { payWithinMs: PAY_WITHIN_MS }) };
      const answer = await ledger.reserve(order, fence, asking);
      const { kind, owed } = answer;
      if (kind === 'mismatch' || kind === 'limit') {
        throw new Error(`unexpected in this world: ${kind}`);
      }
      const generation = 'generation' in answer ? answer.generation : 0;
      return { kind, owed, orderId: answer.order?.orderId ?? '', generation };
    },
    confirm: async (name, { fence, ...generation }) =>
      (await ledger.confirm({ ...generationOf(name, generation), fence, paymentId: 'p' })).kind,
    async release(name, { fence, declined, ...acceptance }) {
      const order = accepted(name, acceptance);
      const answer = await ledger.release({ order, fence, reason: 'sale-lost', declined });
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
    async endOf(name) {
      const raw = await redis.hget(ordersKey(itemId), orderOf(name).requestId);
      return raw === null ? undefined : endOfEntry(toEntry(raw));
    },
    archivable: async (name, end) =>
      (await leaving.archivable(itemId, archived(name, end)))[0]?.outcome ?? 'stays',
    async archive(name, end) {
      const outcomes = await leaving.archive(itemId, archived(name, end));
      if (outcomes === 'counting') throw new Error('no item of this world has a limit');
      return outcomes[0] ?? 'stays';
    },
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
      const [free, stored, archived] = await Promise.all([
        redis.get(`inventory:${itemId}`),
        redis.hgetall(ordersKey(itemId)),
        redis.hget(countsKey(itemId), 'archived'),
      ]);
      const entries: Record<string, Entry> = {};
      for (const [name, { requestId }] of orders) {
        const raw = stored[requestId];
        if (raw !== undefined) entries[name] = toEntry(raw);
      }
      return { free: Number(free), entries, archived: Number(archived) };
    },
    async remove() {
      const claims = [...orders.values()].map(({ requestId }) => `idempotency:${requestId}`);
      await redis.del(...keys, ...claims);
    },
  };
}

/** Leases end on the server's clock; a walk cannot wait, so it moves the end into the past. */
async function endLease(redis: Redis, order: Order): Promise<void> {
  if (!(await changeEntry(redis, order, { lease_until: 1 }))) return;
  await redis.zadd(`{inventory:${order.itemId}}:leases`, 1, order.requestId);
}

/** Changes fields of an entry, if there is one, which it returns. */
async function changeEntry(
  redis: Redis,
  { itemId, requestId }: Order,
  fields: object,
): Promise<{ readonly accepted_at: number } | undefined> {
  const key = ordersKey(itemId);
  const raw = await redis.hget(key, requestId);
  if (raw === null) return undefined;
  const entry = { ...(JSON.parse(raw) as { accepted_at: number }), ...fields };
  await redis.hset(key, requestId, JSON.stringify(entry));
  return entry;
}

/** The model of the archive as the real ledger asks it. */
function askedOf(archive: ModelArchive, itemId: ItemId) {
  const nameOf = (requestId: RequestId) => requestId.slice(itemId.length + 1);
  const answer = (ask: () => OrderEnd | undefined): Promise<EndedOrder | undefined> =>
    new Promise((resolve) => {
      const end = ask();
      resolve(end && toEnded(end, itemId));
    });
  return {
    endOf: ({ orderId }: Pick<Order, 'orderId'>) => answer(() => archive.endOf(orderId ?? '')),
    endOfRequest: ({ requestId, orderId, acceptedAt }: Order) =>
      answer(() => archive.endOfRequest(nameOf(requestId), { orderId: orderId ?? '', acceptedAt })),
  };
}

function toEnded(end: OrderEnd, itemId: ItemId): EndedOrder {
  const { orderId, acceptedAt, outcome, generation } = end;
  return {
    ...anOrder(aPurchase({ itemId })),
    orderId,
    acceptedAt,
    status: outcome,
    reason: outcome === 'failed' ? 'sale-lost' : undefined,
    paymentId: undefined,
    generation,
    finishedAt: 0,
    refundedMinor: 0,
    restocked: 0,
  };
}

function toEntry(raw: string): Entry {
  const stored = JSON.parse(raw) as Omit<Entry, 'owed' | 'orderId' | 'acceptedAt'> & {
    order_id?: string;
    accepted_at: number;
    owed: string;
    lease_until?: number;
    cancelled_by_buyer?: true;
    pay_within?: number;
    reason?: string;
  };
  return {
    orderId: stored.order_id ?? '',
    acceptedAt: stored.accepted_at,
    revision: stored.revision,
    state: stored.state,
    generation: stored.generation,
    fence: stored.fence,
    owed: stored.owed.split(',').filter(Boolean).map(Number),
    run: stored.run,
    refused: stored.reason === 'sold-out' || undefined,
    ...(stored.cancelled_by_buyer && { cancelled: true }),
    ...(stored.pay_within !== undefined && { pays: true }),
    ...(stored.token !== undefined && { token: stored.token, leased: stored.lease_until !== 1 }),
  };
}
