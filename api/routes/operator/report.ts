import { Type } from '@sinclair/typebox';
import type { SaleReport } from '../../../engine/archive/report';
import { parseItemId } from '../../../engine/orders/order';
import { readFromArchive } from '../../http/errors';
import { problem } from '../../http/problems';
import { json } from '../../http/response';
import { ITEM_ID } from '../items';
import { NO_STORE, object, orNull, text, time, units } from '../route';
import { operatorRoute } from './operator';

const count = (description: string) => Type.Integer({ minimum: 0, description });
const counts = (description: string) =>
  Type.Record(Type.String(), Type.Integer({ minimum: 0 }), { description });
const ms = (description: string) => Type.Integer({ minimum: 0, description });

export const Report = object({
  item_id: text('the item'),
  accepted: object({
    orders: count('accepted orders'),
    units: units('their units'),
    first_at: orNull(time('of the first order'), 'never'),
    last_at: orNull(time('of the last order'), 'never'),
  }),
  confirmed: object({
    orders: count('sold orders'),
    units: units('their units'),
    buyers: count('users who have at least one of them'),
    revenue: Type.Array(
      object({
        currency: text('ISO 4217'),
        price_minor: Type.Integer({ description: 'of a unit, in minor units' }),
        units: units('sold at this price'),
        total_minor: Type.Integer({ description: 'in minor units' }),
      }),
    ),
    last_at: orNull(time('when the last unit was sold'), 'never'),
    seconds_to_last_unit: orNull(
      Type.Number({ description: 'from the first acceptance to the last sale' }),
      'no sale',
    ),
  }),
  refunded: object({
    orders: count('sold orders that were refunded, wholly or partly'),
    units_restocked: units('units of them that are on sale again; they count as sold, too'),
    money: Type.Array(
      object({
        currency: text('ISO 4217'),
        total_minor: Type.Integer({ description: 'what was given back, in minor units' }),
      }),
    ),
  }),
  failed: object({ orders: count('failed orders'), by_reason: counts('orders by reason') }),
  cancelled: object({ orders: count('cancelled orders') }),
  refused: object({
    requests: count('purchases that were refused and never became orders'),
    by_reason: counts('requests by the type of their problem'),
  }),
  open: object({ orders: count('accepted, and not known to be over') }),
  to_outcome_ms: orNull(
    object({
      p50: ms('half of the orders were over sooner after their acceptance'),
      p90: ms('90 %'),
      p99: ms('99 %'),
      max: ms('all'),
    }),
    'no order is over',
  ),
  curve: object({
    seconds_per_point: Type.Integer({ minimum: 1, description: '1, or more for a long sale' }),
    points: Type.Array(
      object({
        at: time('the beginning of the point'),
        accepted_units: units('accepted'),
        confirmed_units: units('sold'),
        ended_without_a_sale: count('orders that failed or were cancelled'),
        refused_requests: count('purchases that were refused'),
      }),
      { description: 'without those at which nothing happened' },
    ),
  }),
});

const AT = '2026-01-05T12:00:00.000Z';
const EXAMPLE: SaleReport = {
  item_id: '101',
  accepted: { orders: 110, units: 110, first_at: AT, last_at: '2026-01-05T12:00:01.900Z' },
  confirmed: {
    orders: 100,
    units: 100,
    buyers: 97,
    revenue: [{ currency: 'USD', price_minor: 1000, units: 100, total_minor: 100_000 }],
    last_at: '2026-01-05T12:00:02.400Z',
    seconds_to_last_unit: 2.4,
  },
  refunded: { orders: 1, units_restocked: 1, money: [{ currency: 'USD', total_minor: 1000 }] },
  failed: { orders: 10, by_reason: { 'payment-declined': 10 } },
  cancelled: { orders: 0 },
  refused: { requests: 4_210, by_reason: { 'sold-out': 4_210 } },
  open: { orders: 0 },
  to_outcome_ms: { p50: 180, p90: 420, p99: 800, max: 950 },
  curve: {
    seconds_per_point: 1,
    points: [
      {
        at: AT,
        accepted_units: 110,
        confirmed_units: 100,
        ended_without_a_sale: 10,
        refused_requests: 4_210,
      },
    ],
  },
};

const readReport = operatorRoute({
  method: 'get',
  path: '/operator/items/{item_id}/report',
  id: 'operatorItemReport',
  summary: 'How the sale of an item went',
  description:
    'From the archive, seconds behind. Refused purchases are sums that gateways with an archive write every few seconds. Needs a gateway with an archive.',
  parameters: [ITEM_ID],
  response: { description: 'The report.', schema: Report, example: EXAMPLE },
  problems: ['unknown-item', 'no-archive'],
  handle: async ({ archive }, { params }) => {
    if (!archive) return problem('no-archive');
    const itemId = parseItemId(params['item_id']);
    const report = itemId && (await readFromArchive(archive.report(itemId)));
    return report ? json(200, report, NO_STORE) : problem('unknown-item');
  },
});

/** Operators look at a sale as a whole. */
export const REPORT_ROUTES = [readReport];
