import type { OrderListArchive } from '../../api/routes/order-list';
import type { Archive, ArchivedEvent, ArchivedOrder } from '../../engine/archive/archive';
import type { Erasure } from '../../engine/archive/erase-user';
import type { SaleReport } from '../../engine/archive/report';
import type { ItemId, RequestId, UserId } from '../../engine/orders/order';
import type { SaleReturn } from '../../engine/orders/sale-return';

const AT = Date.parse('2026-01-05T12:00:00.000Z');

/** A confirmed order of u1, as the archive has it. */
export function anArchivedOrder(fields: Partial<ArchivedOrder> = {}): ArchivedOrder {
  return {
    orderId: 'order-1',
    requestId: 'req-1' as RequestId,
    itemId: '101' as ItemId,
    userId: 'u1' as UserId,
    amount: 1,
    priceMinor: 1000,
    currency: 'USD',
    acceptedAt: AT,
    status: 'confirmed',
    reason: undefined,
    paymentId: 'ch_1',
    generation: 1,
    finishedAt: AT + 250,
    refundedMinor: 0,
    restocked: 0,
    ...fields,
  };
}

export type FakeArchive = ReturnType<typeof createFakeArchive>;

/** Answers what it is told to answer, and remembers what it was asked. */
export function createFakeArchive() {
  const answers = {
    /** One of each request_id. */
    orders: [] as ArchivedOrder[],
    events: [] as ArchivedEvent[],
    returns: [] as SaleReturn[],
    positions: new Map<number, bigint>(),
    ends: [{ partition: 0, low: 0n, high: 0n }],
    report: undefined as SaleReport | undefined,
    erasure: { kind: 'erased', orders: 2, deadLetters: 1, setAside: 0 } as Erasure,
    isAway: false,
  };
  const asked: unknown[] = [];
  const answer = <T>(question: unknown, read: () => T): Promise<T> => {
    asked.push(question);
    return answers.isAway ? Promise.reject(new Error('away')) : Promise.resolve(read());
  };
  const orders: Archive = {
    newestOrder: (requestId) =>
      answer(requestId, () => answers.orders.find((order) => order.requestId === requestId)),
    eventsOf: (orderId) => answer(`events of ${orderId}`, () => answers.events),
    returnsOf: (orderId) => answer(`returns of ${orderId}`, () => answers.returns),
    ordersOfUser: (userId, page) =>
      answer({ userId, ...page }, () => answers.orders.slice(0, page.limit)),
    search: (search) => answer(search, () => answers.orders.slice(0, search.limit)),
    eraseUser: (userId) => answer(`erase ${userId}`, () => answers.erasure),
    report: (itemId) => answer(`report of ${itemId}`, () => answers.report),
    retiredAt: () => Promise.resolve(undefined),
    positions: () => answer('positions', () => answers.positions),
  };
  const archive = {
    orders,
    ordersTopic: 'orders',
    logEnds: () => Promise.resolve(answers.ends),
  } satisfies OrderListArchive;
  return { archive, answers, asked };
}
