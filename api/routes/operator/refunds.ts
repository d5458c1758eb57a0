import { Type, type Static } from '@sinclair/typebox';
import { WHY_LENGTH_MAX } from '../../../engine/dead-letters/operator';
import {
  AMOUNT_MAX,
  parseRequestId,
  totalMinor,
  type OrderId,
  type RequestId,
} from '../../../engine/orders/order';
import {
  OPERATION_LENGTH_MAX,
  restockOperation,
  type RefundInput,
  type SaleInput,
} from '../../../engine/orders/refund';
import { PRICE_MINOR_MAX } from '../../../engine/orders/sale';
import { refundedMinor } from '../../../engine/orders/sale-return';
import type { RefundOutcome } from '../../../engine/payments/start-refund';
import { Id } from '../../buy/buy-request';
import { RequestError } from '../../http/errors';
import { problem } from '../../http/problems';
import { json } from '../../http/response';
import type { FinishedOrder, LiveOrder } from '../order-lookup';
import { REQUEST_ID } from '../orders';
import { jsonResponse, NO_STORE, object, oneOf, orNull, text, units } from '../route';
import {
  By,
  invalid,
  JSON_OBJECT,
  operatorRoute,
  visibleText,
  whole,
  type ActionResponse,
} from './operator';

const RefundRequest = object(
  {
    operation_id: Type.String({
      ...Id,
      maxLength: OPERATION_LENGTH_MAX,
      description: `must be 1 to ${OPERATION_LENGTH_MAX} letters, digits or . _ ~ : @ + = -`,
    }),
    amount_minor: Type.Optional(whole(1, PRICE_MINOR_MAX * AMOUNT_MAX)),
    restock: Type.Optional(whole(0, AMOUNT_MAX)),
    by: By,
    why: visibleText(WHY_LENGTH_MAX),
  },
  JSON_OBJECT,
);

export const Refunded = object({
  request_id: Id,
  operation_id: Id,
  status: oneOf(['pending', 'succeeded'], 'pending: send the same request again to find out'),
  refund_id: orNull(text("the payment provider's"), 'null: not known yet'),
  amount_minor: orNull(
    Type.Integer({ minimum: 0, description: 'in minor units of the currency' }),
    'null: all that is left, not known yet',
  ),
  currency: text('ISO 4217'),
  restocked: units('units that this refund has put on sale again'),
});

const EXAMPLE: Static<typeof Refunded> = {
  request_id: 'req-1',
  operation_id: 'refund-17',
  status: 'succeeded',
  refund_id: 're_1',
  amount_minor: 1000,
  currency: 'USD',
  restocked: 1,
};

const refund = operatorRoute({
  method: 'post',
  path: '/operator/orders/{request_id}/refund',
  action: 'order.refund',
  id: 'refund',
  summary: 'Refund a sold order',
  description:
    'Gives back `amount_minor`, or all that is left, and puts `restock` units on sale again once that is done. May be repeated under its operation_id, and asked for several times under others, up to what was paid. The order stays confirmed. A refund that fails is not tried again by itself.',
  parameters: [REQUEST_ID],
  body: {
    schema: RefundRequest,
    example: { operation_id: 'refund-17', amount_minor: 1000, restock: 1, why: 'returned' },
  },
  response: {
    description: 'The money is given back.',
    schema: Refunded,
    example: EXAMPLE,
    more: [
      jsonResponse(202, 'Under way, or the payment provider does not know yet.', {
        schema: Refunded,
        example: { ...EXAMPLE, status: 'pending', refund_id: null, restocked: 0 },
      }),
    ],
  },
  problems: [
    'unknown-order',
    'not-refundable',
    'refund-refused',
    'refund-failed',
    'not-restocked',
    'operation-reused',
  ],
  handle: async ({ lookUp, refunds }, { params, body, by }) => {
    const requestId = parseRequestId(params['request_id']);
    const found = requestId && (await lookUp(requestId));
    if (!found) return problem('unknown-order', { requestId });
    const sale = saleOf(requestId, found);
    if (typeof sale === 'string') return problem('not-refundable', { requestId, detail: sale });
    const { name, total, currency, amount } = sale;
    const { operation_id: operationId, amount_minor: amountMinor, restock = 0, why } = body;
    if (amountMinor !== undefined && amountMinor > total) {
      throw invalid({ path: '/amount_minor', message: `must be at most ${total}, what was paid` });
    }
    // What was put back before counts later: this operation may be among it.
    if (restock > amount) {
      throw invalid({ path: '/restock', message: `must be at most ${amount}, what was sold` });
    }
    const input: RefundInput = {
      ...name,
      operationId,
      ...(amountMinor !== undefined && { amountMinor }),
      ...(restock > 0 && { restock }),
      by,
      why: why.trim(),
    };
    const outcome = await refunds.refund(input).catch((cause: unknown) => {
      const message = 'Temporal gave no answer about a refund';
      throw new RequestError(message, { problem: 'not-accepted', requestId, cause });
    });
    return { ...respond(input, currency, outcome), before: { refunded_minor: sale.refunded } };
  },
});

/** Operators give money back. */
export const REFUND_ROUTES = [refund];

/** What a refund has to know of a sold order; for people, why there can be none. */
function saleOf(requestId: RequestId, found: LiveOrder | FinishedOrder) {
  const sold = 'archived' in found ? ofArchive(found) : ofLedger(found);
  if (!sold.isSold) return 'Only a confirmed order can be refunded. Nothing was changed.';
  const { orderId, itemId, ...money } = sold;
  // Its payment key may be another order's, and nothing of it could be told apart: orderKey() in projection.ts.
  if (orderId === undefined || orderId.includes('@')) {
    return 'The order is older than order ids: refund it at the payment provider. Nothing was changed.';
  }
  const name: SaleInput = { itemId, requestId, orderId: orderId as OrderId };
  return { name, ...money };
}

function ofLedger({ itemId, entry }: LiveOrder) {
  const { orderId, state, units: amount, priceMinor, currency, returns } = entry;
  const total = totalMinor({ priceMinor, amount });
  const refunded = refundedMinor(returns);
  return { isSold: state === 'sold', orderId, itemId, total, currency, amount, refunded };
}

function ofArchive({ archived }: FinishedOrder) {
  const { status, orderId, itemId, currency, amount, refundedMinor: refunded } = archived;
  const total = totalMinor(archived);
  return { isSold: status === 'confirmed', orderId, itemId, total, currency, amount, refunded };
}

/** The record says which operation has put units back: a rebuild looks for it among the changes of stock. */
function respond(input: RefundInput, currency: string, outcome: RefundOutcome): ActionResponse {
  const { requestId, operationId, itemId } = input;
  switch (outcome.kind) {
    case 'operation-reused':
      return problem('operation-reused', { requestId });
    case 'refused':
    case 'failed': {
      const { kind, code } = outcome;
      return { ...problem(`refund-${kind}`, { requestId, members: { code } }), detail: code };
    }
    case 'not-restocked': {
      const { code } = outcome;
      return { ...problem('not-restocked', { requestId, members: { code } }), detail: code };
    }
    case 'pending':
    case 'done': {
      const result = outcome.kind === 'done' ? outcome.result : undefined;
      const { refund, restocked = 0 } = result ?? {};
      const body: Static<typeof Refunded> = {
        request_id: requestId,
        operation_id: operationId,
        status: refund?.status === 'succeeded' ? 'succeeded' : 'pending',
        refund_id: refund?.id ?? null,
        amount_minor: refund?.amountMinor ?? input.amountMinor ?? null,
        currency,
        restocked,
      };
      const restock = { item_id: itemId, operation: restockOperation(input), units: restocked };
      const after = { ...body, ...(restocked > 0 && { restock }) };
      return { ...json(body.status === 'succeeded' ? 200 : 202, body, NO_STORE), after };
    }
  }
}
