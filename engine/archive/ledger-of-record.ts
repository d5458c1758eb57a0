import type { ConfirmResult, ReleaseResult, ReserveResult, ReservingRun } from '../orders/ledger';
import type { Order, OrderId } from '../orders/order';
import type { StockLedger } from '../stock/stock-ledger';
import type { EndedOrder, EndedOrders } from './ended-orders';

/** The ledger as the steps of an order use it: no step is answered `archived`. */
export type LedgerOfRecord = ReturnType<typeof createLedgerOfRecord>;

/**
 * Answers the steps of orders that have left the ledger from the archive: nothing of such an order is taken, given back or
 * refunded again, and a failed one is not tried again. Throws where the archive does not answer, so that the order parks.
 */
export function createLedgerOfRecord(
  ledger: Pick<
    StockLedger,
    'reserve' | 'confirm' | 'release' | 'isRefundable' | 'resolveCharge' | 'cancel' | 'findOrder'
  >,
  archive: Pick<EndedOrders, 'endOf' | 'endOfRequest'>,
) {
  const reserve = async (
    order: Order,
    fence: number,
    run?: ReservingRun,
  ): Promise<ReserveResult> => {
    const result = await ledger.reserve(order, fence, run);
    if (result.kind !== 'archived') return result;
    const end = await archive.endOfRequest(order);
    if (!end) return definite(await ledger.reserve(order, fence, run, UNARCHIVED));
    return isOf(end, order) ? reservedBefore(end) : reserve(carriedOut(order, end), fence, run);
  };

  const release = async (step: ReleaseStep): Promise<ReleaseResult> => {
    const { order } = step;
    const result = await ledger.release(step);
    if (result.kind !== 'archived') return result;
    const end = await archive.endOfRequest(order);
    if (!end) return definite(await ledger.release(step, UNARCHIVED));
    return isOf(end, order)
      ? releasedBefore(end)
      : release({ ...step, order: carriedOut(order, end) });
  };

  return {
    /** They change nothing without an entry. */
    resolveCharge: ledger.resolveCharge,
    cancel: ledger.cancel,
    /** The entry alone: an order that has left has none. */
    findOrder: ledger.findOrder,
    reserve,
    release,

    async confirm(step: Parameters<StockLedger['confirm']>[0]): Promise<ConfirmResult> {
      const result = await ledger.confirm(step);
      if (result.kind !== 'archived') return result;
      const end = await archive.endOf(step);
      if (!end) return definite(await ledger.confirm(step, UNARCHIVED));
      return { kind: isSale(end, step.generation) ? 'sold' : 'lost' };
    },

    async isRefundable(step: Parameters<StockLedger['isRefundable']>[0]): Promise<boolean> {
      const result = await ledger.isRefundable(step);
      if (result !== 'archived') return result;
      const end = await archive.endOf(step);
      // All charges but that of the sale were settled before the order left.
      return !(end && isSale(end, step.generation));
    },
  };
}

/** For a process that has no archive: the steps of such orders fail, and wait for one that has. */
export const NO_ARCHIVE: EndedOrders = {
  endOf: () => Promise.reject(noArchive()),
  endOfRequest: () => Promise.reject(noArchive()),
  soldAmong: () => Promise.reject(noArchive()),
};

function noArchive(): Error {
  return new Error('DATABASE_URL is not set: orders that have left the ledger are not known');
}

type ReleaseStep = Parameters<StockLedger['release']>[0];

const isOf = (end: EndedOrder, { orderId }: Pick<Order, 'orderId'>) => end.orderId === orderId;

/** The acceptance that carried out a repeated one. It may be in the ledger still, or again: then its entry decides. */
function carriedOut(order: Order, { orderId, acceptedAt }: EndedOrder): Order {
  return { ...order, orderId: orderId as OrderId, acceptedAt };
}

const UNARCHIVED = { unarchived: true } as const;

function definite<Result extends { readonly kind: string }>(
  result: Result,
): Exclude<Result, { readonly kind: 'archived' }> {
  if (result.kind === 'archived') throw new Error('The ledger asks for the archive twice');
  return result as Exclude<Result, { readonly kind: 'archived' }>;
}

function isSale({ status, generation }: EndedOrder, ofGeneration: number): boolean {
  return status === 'confirmed' && generation === ofGeneration;
}

/** What is left to a run of the order: it ends as the order did. */
function reservedBefore(end: EndedOrder): ReserveResult {
  const { priceMinor, currency } = end;
  const known = { owed: [], order: { orderId: end.orderId as OrderId, priceMinor, currency } };
  switch (end.status) {
    case 'confirmed':
      return { kind: 'sold', ...known, ...saleOf(end) };
    case 'cancelled':
      return { kind: 'cancelled', ...known };
    case 'failed':
      return { kind: 'ended', ...known, reason: end.reason ?? 'sale-lost' };
  }
}

function releasedBefore(end: EndedOrder): ReleaseResult {
  const known = { owed: [], orderId: end.orderId as OrderId };
  if (end.status === 'confirmed') return { kind: 'sold', ...known, ...saleOf(end) };
  const isCancelled = end.status === 'cancelled' && ({ cancelledByBuyer: true } as const);
  return { kind: 'released', ...known, generation: end.generation, ...isCancelled };
}

function saleOf({ generation, paymentId }: EndedOrder) {
  return { generation, ...(paymentId !== undefined && { paymentId }) };
}
