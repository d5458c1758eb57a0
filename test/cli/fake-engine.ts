import {
  type LedgerEntry,
  type LedgerState,
  failureReason,
  isFinal,
  orderStatus,
} from '../../engine/orders/ledger';
import { type ItemId, paymentKey } from '../../engine/orders/order';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import { createGateway, type BuyBody } from '../../client/gateway';
import type { Charge } from '../../client/snapshot';
import type { RunningEngine } from '../../cli/scenarios/running-engine';
import { ACCEPTED, aProblem, startFakeGateway, type Reply } from '../support/fake-gateway';

/** How an engine may break a promise. Each is asked once per order. */
export interface Flaws {
  /** Sells although no unit is free. */
  readonly oversells?: boolean;
  /** Accepts this order and forgets it. */
  readonly loses?: (requestId: string) => boolean;
  /** Takes the money of a sold order twice, under another key. */
  readonly chargesTwice?: (requestId: string) => boolean;
  /** Captures a declined order's money all the same. */
  readonly chargesDeclined?: boolean;
  readonly keepsUnitsOfDeclined?: boolean;
  readonly writesNoDeadLetter?: boolean;
  readonly acceptsRepeats?: boolean;
  readonly neverFinishes?: boolean;
  /** Answers this order's first request 503 although it has accepted it. */
  readonly losesAnswerOf?: (requestId: string) => boolean;
}

interface FakeOrder {
  readonly body: BuyBody;
  entry: LedgerEntry;
}

/**
 * The whole engine in one object behind the gateway's HTTP door. Unlike the real one it keeps nothing, checks no field,
 * knows no holds, and finishes an order a few milliseconds after it was accepted; every tenth one is declined.
 */
export async function startFakeEngine(flaws: Flaws = {}) {
  const supplies = new Map<string, number>();
  const orders = new Map<string, FakeOrder>();
  const charges: Charge[] = [];
  const letters: StoredDeadLetter[] = [];
  let accepted = 0;

  const unitsIn = (itemId: string, ...states: LedgerState[]) =>
    [...orders.values()]
      .filter(({ body, entry }) => body.item_id === itemId && states.includes(entry.state))
      .reduce((units, { body }) => units + body.amount, 0);
  const freeOf = (itemId: string) =>
    (supplies.get(itemId) ?? 0) -
    unitsIn(itemId, 'queued', 'reserved', 'sold') -
    (flaws.keepsUnitsOfDeclined ? unitsIn(itemId, 'released') : 0);

  const enter = (order: FakeOrder, state: LedgerState, fields: Partial<LedgerEntry> = {}) => {
    const timeline = [...order.entry.timeline, { at: Date.now(), state }];
    order.entry = { ...order.entry, ...fields, state, timeline };
  };
  const charge = (key: string, status: string, amount: number) =>
    charges.push({ key, status, amount, currency: 'USD' });

  const finish = (order: FakeOrder, isDeclined: boolean) => {
    const { request_id: requestId, item_id: itemId, amount } = order.body;
    const key = paymentKey(requestId, undefined, 1);
    if (!isDeclined) {
      charge(key, 'captured', 1000 * amount);
      if (flaws.chargesTwice?.(requestId))
        charge(paymentKey(requestId, undefined, 2), 'captured', 1000);
      enter(order, 'sold', { generation: 1, finishedAt: Date.now() });
      return;
    }
    charge(key, flaws.chargesDeclined ? 'captured' : 'declined', 1000 * amount);
    const reason = 'payment-declined';
    enter(order, 'released', { generation: 1, reason, finishedAt: Date.now() });
    if (flaws.writesNoDeadLetter) return;
    const named = { id: `${requestId}:run`, requestId, itemId, reason } as const;
    const place = { partition: 0, offset: String(letters.length) };
    letters.push({
      ...named,
      ...place,
      error: 'declined',
      generation: 1,
      at: Date.now(),
      value: Buffer.alloc(0),
    });
  };

  const buy = (body: BuyBody): Reply => {
    const known = orders.get(body.request_id);
    if (known && !flaws.acceptsRepeats) {
      return aProblem(409, 'duplicate-request', { order: orderBody(known) });
    }
    if (!supplies.has(body.item_id)) return aProblem(404, 'unknown-item');
    if (freeOf(body.item_id) < body.amount && !flaws.oversells) return aProblem(409, 'sold-out');
    accepted += 1;
    const isDeclined = accepted % 10 === 0;
    const order = { body, entry: anEntry(body) };
    if (!flaws.loses?.(body.request_id)) orders.set(body.request_id, order);
    enter(order, 'queued');
    if (!flaws.neverFinishes) {
      setTimeout(() => {
        finish(order, isDeclined);
      }, 5);
    }
    if (flaws.losesAnswerOf?.(body.request_id)) {
      return { ...aProblem(503, 'outcome-unknown'), headers: { 'retry-after': '0' } };
    }
    return ACCEPTED;
  };
  const countsOf = (itemId: string) => ({
    free: freeOf(itemId),
    held: 0,
    queued: unitsIn(itemId, 'queued'),
    reserved: unitsIn(itemId, 'reserved'),
    sold: unitsIn(itemId, 'sold'),
    supply: supplies.get(itemId) ?? 0,
  });
  const itemBody = (itemId: string) => ({
    item_id: itemId,
    ...countsOf(itemId),
    price_minor: 1000,
    currency: 'USD',
  });

  const server = await startFakeGateway(({ path, body }) => {
    const [, kind, id = ''] = path.split('/');
    if (kind === 'buy') return buy(body as BuyBody);
    if (kind === 'items') {
      return supplies.has(id) ? { status: 200, body: itemBody(id) } : aProblem(404, 'unknown-item');
    }
    const order = orders.get(id);
    return order ? { status: 200, body: orderBody(order) } : aProblem(404, 'unknown-order');
  });
  const gateway = createGateway(server.url);
  const watcher = createGateway(server.url, { socketsMax: 1 });

  const engine: RunningEngine = {
    gateway,
    watcher,
    putOnSale: (units) => {
      const itemId = `item-${supplies.size}` as ItemId;
      supplies.set(itemId, units);
      return Promise.resolve(itemId);
    },
    snapshot: (itemId) => {
      const found = [...orders].filter(([, { body }]) => body.item_id === itemId);
      const entries = new Map(found.map(([requestId, { entry }]) => [requestId, entry]));
      return Promise.resolve({ counts: countsOf(itemId), entries });
    },
    charges: (itemId) => Promise.resolve(charges.filter(({ key }) => key.startsWith(itemId))),
    deadLetters: {
      end: () => Promise.resolve(String(letters.length)),
      read: (from = '0') => Promise.resolve(letters.slice(Number(from))),
    },
    bounds: { idleMsMax: 500, answerMsMax: 2_000, pollMs: 5 },
  };
  const close = async () => {
    gateway.close();
    watcher.close();
    await server.close();
  };
  return { engine, close };
}

function anEntry(body: BuyBody): LedgerEntry {
  return {
    state: 'queued',
    units: body.amount,
    userId: body.user_id,
    fingerprint: 'f',
    generation: 0,
    fence: 0,
    unresolvedCharges: [],
    acceptedAt: Date.now(),
    timeline: [],
    priceMinor: 1000,
    currency: 'USD',
  };
}

function orderBody({ body, entry }: FakeOrder) {
  const status = orderStatus(entry) ?? 'queued';
  const iso = (ms: number) => new Date(ms).toISOString();
  return {
    ...body,
    status,
    reason: failureReason(entry),
    payment_id: null,
    generation: entry.generation,
    accepted_at: iso(entry.acceptedAt),
    finished_at: isFinal(status) ? iso(entry.finishedAt ?? 0) : null,
    timeline: entry.timeline.map(({ at, state }) => ({ at: iso(at), state })),
  };
}
