import { Type, type TProperties, type TSchema } from '@sinclair/typebox';
import type { LedgerState } from '../../engine/orders/ledger';
import { FAILURE_REASONS } from '../../engine/orders/order';
import type { OrderStatus } from '../../engine/orders/order-status';
import { Id } from '../buy/buy-request';
import { PROBLEMS, type ProblemType } from '../http/problems';

/** No more fields than these: a field that is not described here would fail the test of real answers. */
export const object = <T extends TProperties>(properties: T, description?: string) =>
  Type.Object(properties, {
    additionalProperties: false,
    ...(description !== undefined && { description }),
  });

export const oneOf = <T extends string>(values: readonly T[], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  );

/** Records, so that a new word in the domain does not compile until it is here. */
const namesOf = <T extends string>(table: Record<T, true>) => Object.keys(table) as T[];
const STATUSES = namesOf<OrderStatus>({
  ...{ queued: true, reserved: true, confirmed: true, failed: true, cancelled: true },
});
const STATES = namesOf<LedgerState>({
  ...{ held: true, queued: true, reserved: true, sold: true, released: true },
});

export const time = (description: string) => Type.String({ format: 'date-time', description });
export const orNull = <T extends TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
export const units = (description: string) => Type.Integer({ minimum: 0, description });

const Links = object({
  self: Type.String({ description: 'the order' }),
  events: Type.String({ description: 'the order as a stream of events' }),
  trace: Type.Optional(
    Type.String({ description: 'its workflow in the Temporal Web UI, where one is configured' }),
  ),
});

export const Accepted = object({
  request_id: Id,
  status: Type.Literal('queued'),
  links: Links,
});

export const Order = object({
  request_id: Id,
  item_id: Id,
  user_id: Id,
  amount: Type.Integer({ minimum: 1, description: 'units' }),
  status: oneOf(STATUSES, 'confirmed, failed and cancelled are final, unless it is tried again'),
  reason: orNull(oneOf(FAILURE_REASONS, 'why it failed'), 'of a failed order'),
  payment_id: orNull(Type.String(), 'the charge, in the words of the payment provider'),
  generation: units('0 before the first try to sell it, one more with each try'),
  accepted_at: time('when its units were held'),
  finished_at: orNull(time('when it was sold or given up'), 'null while it is under way'),
  timeline: Type.Array(object({ at: time('when'), state: oneOf(STATES, 'in the ledger') })),
  links: Links,
});

export const Item = object({
  item_id: Id,
  free: units('units that can be bought now'),
  held: units('units of requests that are being answered'),
  queued: units('units of accepted orders'),
  reserved: units('units of orders that are being paid'),
  sold: units('units of confirmed orders'),
  supply: units('free + held + queued + reserved + sold, always'),
  price_minor: Type.Integer({
    minimum: 0,
    description: 'price of a unit in cents or their like',
  }),
  currency: Type.String({ description: 'ISO 4217' }),
  units_per_user: orNull(Type.Integer({ minimum: 1 }), 'null: no limit'),
  opens_at: orNull(time('first moment of the sale'), 'null: open from the beginning'),
  closes_at: orNull(time('last moment of the sale'), 'null: open without end'),
});

export const Live = object({ live: Type.Literal(true) });

export const ReadyReport = object({
  ready: Type.Boolean(),
  dependencies: Type.Record(Type.String(), Type.Boolean(), { description: 'who answers' }),
});

export const ProblemExplanation = object({
  type: Type.String({ pattern: '^/problems/' }),
  title: Type.String(),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  detail: Type.String(),
});

/** The words by which a problem is known; what a path of /problems ends in. */
export const ProblemName = oneOf(Object.keys(PROBLEMS), 'the last part of the type of a problem');

/** What a problem says beyond the members that all have. */
const MEMBERS: Partial<Record<ProblemType, TProperties>> = {
  'invalid-request': {
    errors: Type.Optional(
      Type.Array(
        object({
          path: Type.String({ description: 'JSON pointer; empty for the whole body' }),
          message: Type.String(),
        }),
        { description: 'there when the body is at fault' },
      ),
    ),
  },
  'unknown-item': { item_id: Type.Optional(Id) },
  'duplicate-request': { order: Order },
  'too-late-to-cancel': {
    reason: oneOf(['confirmed', 'failed'], 'how it ended'),
    order: Order,
  },
  'sold-out': { final: Type.Boolean({ description: 'true once every unit is sold' }) },
  'purchase-limit': {
    units_per_user: Type.Integer({ minimum: 1 }),
    owned: units('units that the user has already'),
  },
  'sale-not-open': { opens_at: time('when to come back') },
  'sale-over': { closed_at: time('when it ended') },
  'not-accepted': {
    ledger: Type.Optional(
      Type.Literal('lost', {
        description: 'there when the item sells nothing until an operator has restored its stock',
      }),
    ),
  },
  'not-replayable': {
    outcome: Type.String({ description: 'what it is instead' }),
    letter_id: Type.String(),
  },
  'units-owned': {
    users: units('users above the limit'),
    most: units('units of the one who has most'),
  },
};

function problemSchema(type: ProblemType): TSchema {
  const { status, title, detail } = PROBLEMS[type];
  return Type.Object(
    {
      type: Type.Literal(`/problems/${type}`),
      title: Type.Literal(title),
      status: Type.Literal(status),
      detail: Type.String({ description: 'for people; may be more precise than here' }),
      request_id: Type.Optional(Id),
      ...MEMBERS[type],
    },
    { additionalProperties: false, title, description: detail },
  );
}

/** One schema for each type of problem. */
export const PROBLEM_SCHEMAS = Object.fromEntries(
  Object.keys(PROBLEMS).map((type) => [type, problemSchema(type as ProblemType)]),
) as Record<ProblemType, TSchema>;
