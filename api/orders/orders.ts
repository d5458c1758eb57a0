import { parseRequestId, type RequestId } from '../../engine/orders/order';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { json, type HttpResponse } from '../http/response';
import { problem } from '../http/problems';
import type { OrderBody, OrderView } from './order-view';
import { readFromRedis } from '../http/errors';

export interface Orders {
  /** The order as it stands; undefined when none was accepted under this id. Throws RequestError. */
  readonly find: (requestId: RequestId) => Promise<OrderBody | undefined>;
  /** GET /orders/<raw>. Throws RequestError. */
  readonly answer: (raw: string | undefined) => Promise<HttpResponse>;
}

/** Orders as their buyers read them. */
export function createOrders(ledger: Pick<StockLedger, 'findOrder'>, view: OrderView): Orders {
  const find = async (requestId: RequestId) => {
    const found = await readFromRedis(ledger.findOrder(requestId), requestId);
    return found && view.order({ requestId, ...found });
  };
  return {
    find,
    answer: async (raw) => {
      const requestId = parseRequestId(raw);
      if (requestId === undefined) return problem('unknown-order');
      const order = await find(requestId);
      if (!order) return problem('unknown-order', { requestId });
      return json(200, order, { 'cache-control': 'no-store' });
    },
  };
}
