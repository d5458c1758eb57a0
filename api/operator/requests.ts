import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { AMOUNT_MAX, FAILURE_REASONS } from '../../engine/orders/order';
import { PRICE_MINOR_MAX, RESTOCK_UNITS_MAX } from '../../engine/orders/sale';
import { WHY_LENGTH_MAX } from '../../engine/dead-letters/operator';
import { Id } from '../buy/buy-request';

/** Starts in one call: with the slowest rate it is answered within twenty seconds, and asked again it goes on. */
export const REPLAY_STARTS_MAX = 100;
const RATE_MIN = 5;
const RATE = 10;
const LETTERS_SHOWN_MAX = 200;
const LETTERS_SHOWN = 50;

/** A letter id may be a request_id, a colon and a run id, or a place in a topic. */
const LETTER_ID_LENGTH_MAX = 300;

const object = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false, description: 'must be a JSON object' });
const orNull = <T extends TSchema>(schema: T, description: string) =>
  Type.Optional(Type.Union([schema, Type.Null()], { description }));
const whole = (minimum: number, maximum: number) =>
  Type.Integer({
    ...{ minimum, maximum },
    description: `must be a whole number from ${minimum} to ${maximum}`,
  });

/** Visible words: they are read in tables, records and logs. */
const words = (maxLength: number) =>
  Type.String({
    ...{ maxLength, pattern: '^(?=.*\\S)[^\\u0000-\\u001f\\u007f]+$' },
    description: `must be a text of 1 to ${maxLength} characters in one line`,
  });
const By = words(100);
const Why = words(WHY_LENGTH_MAX);
const Time = Type.String({
  description: 'must be a time such as 2026-11-24T10:00Z, or 90s, 30m, 2h, 7d ago',
});
const Reason = Type.Union(
  FAILURE_REASONS.map((reason) => Type.Literal(reason)),
  { description: `must be one of ${FAILURE_REASONS.join(', ')}` },
);
const LetterIds = Type.Array(
  Type.String({
    ...{ minLength: 1, maxLength: LETTER_ID_LENGTH_MAX },
    description: 'must be a request_id or a letter id',
  }),
  {
    ...{ minItems: 1, maxItems: REPLAY_STARTS_MAX },
    description: `must be 1 to ${REPLAY_STARTS_MAX} ids`,
  },
);
const Flag = Type.Optional(Type.Boolean({ description: 'must be true or false' }));

/** The body of PUT /operator/items/{item_id}: what is absent or null is not set afterwards. */
export const SaleRequest = object({
  price_minor: orNull(
    whole(1, PRICE_MINOR_MAX),
    `must be a whole number from 1 to ${PRICE_MINOR_MAX}, or null`,
  ),
  currency: orNull(Type.String(), 'must be a currency of ISO 4217 such as USD, or null'),
  units_per_user: orNull(
    whole(1, AMOUNT_MAX),
    `must be a whole number from 1 to ${AMOUNT_MAX}, or null`,
  ),
  opens_at: orNull(Time, 'must be a time such as 2026-11-24T10:00Z, or null'),
  closes_at: orNull(Time, 'must be a time such as 2026-11-24T10:00Z, or null'),
  force: Flag,
  by: By,
});

/** The body of POST /operator/items/{item_id}/restock: either `units` to add, or `free` from now on. */
export const RestockRequest = object({
  units: Type.Optional(whole(1, RESTOCK_UNITS_MAX)),
  free: Type.Optional(whole(0, RESTOCK_UNITS_MAX)),
  operation_id: Id,
  by: By,
});

const filter = {
  reason: Type.Optional(Reason),
  item_id: Type.Optional(Id),
  since: Type.Optional(Time),
  until: Type.Optional(Time),
};

/** The query of GET /operator/dead-letters, whose values are texts. */
export const LettersQuery = object({
  ...filter,
  all: Type.Optional(
    Type.Union([Type.Literal('true'), Type.Literal('false')], {
      description: 'must be true or false',
    }),
  ),
  limit: Type.Optional(
    Type.String({
      pattern: '^(1\\d?\\d?|[2-9]\\d?|200)$',
      description: `must be a whole number from 1 to ${LETTERS_SHOWN_MAX}; ${LETTERS_SHOWN} when absent`,
    }),
  ),
});
export const lettersShown = (limit: string | undefined) => Number(limit ?? LETTERS_SHOWN);

/** The body of POST /operator/dead-letters/replay: `ids`, or a filter; `mended` with exactly one id. */
export const ReplayRequest = object({
  ids: Type.Optional(LetterIds),
  ...filter,
  all: Flag,
  dry_run: Flag,
  max: Type.Optional(whole(1, REPLAY_STARTS_MAX)),
  rate: Type.Optional(whole(RATE_MIN, 1_000)),
  mended: Type.Optional(
    Type.Object({}, { description: 'must be the corrected record of an order, as an object' }),
  ),
  by: Type.Optional(By),
  why: Type.Optional(Why),
});
export const replayBounds = ({ max, rate }: Static<typeof ReplayRequest>) => ({
  max: max ?? REPLAY_STARTS_MAX,
  rate: rate ?? RATE,
});

/** The body of POST /operator/dead-letters/discard. */
export const DiscardRequest = object({ ids: LetterIds, by: By, why: Why });

/** The body of POST /operator/orders/{request_id}/retry. */
export const RetryRequest = object({ by: By, why: Why });
