/*
  Failures on demand, switched while the simulator runs:

    PUT    /misbehaviour   replaces everything that was set; GET shows it; DELETE resets it

    { "declineRate": 0.5,
      "rules": [ { "kind": "hang-after", "keyPrefix": "req-123:", "times": 1 } ] }

  declineRate   fraction of the keys seen from now on that are declined, 0 to 1; absent: as started

  kind          slow         responds as usual, but late; needs delayMs
                hang-before  does nothing and never responds
                hang-after   takes effect and never responds
                fail-before  does nothing and responds with `status`
                fail-after   takes effect and responds with `status`
                drop-after   takes effect and closes the connection without a response
                twice        carries the request out twice at the same time, as after a redelivery inside
                             the provider, and sends the second response
                decline      declines with `code`; a key that was charged before stays charged

                pending      refund-sale only: stays pending; with delayMs, succeeds after that
                fail-later   refund-sale only: succeeds, and fails delayMs later, with `code`

                lost         webhooks only: is never sent
                forged       webhooks only: is sent once, with a wrong signature, and never with the right one
                reordered    webhooks only: waits until another one was delivered, for at most delayMs (1 s)

  Any kind      operation    charge (default), checkout, cancel, refund, find, refund-sale, returns, or webhook, for which
                             there are slow and twice as well; decline is for charges only
                delayMs      waits this long first; what takes effect does so after the wait, also when the
                             caller has timed out
                keyPrefix    only keys that begin so
                keyPattern   only keys that match this regular expression
                rate         only this fraction of the keys, 0 to 1: the same ones in every run
                times        how many requests it hits; absent: all until reset
  Only some     status       500 to 599, default 503
                code         default card_declined

  Only the first rule that matches a request is applied. GET adds to each rule how often it has `fired`, so
  that a test can wait for it.
*/
import { createHash } from 'node:crypto';
import { Type, type Static } from '@sinclair/typebox';
import { createParser, InvalidRequestError } from './routes/request';

const KINDS = [
  'slow',
  'hang-before',
  'hang-after',
  'fail-before',
  'fail-after',
  'drop-after',
  'twice',
  'decline',
  'pending',
  'fail-later',
  'lost',
  'forged',
  'reordered',
] as const;
type Kind = (typeof KINDS)[number];
const OPERATIONS = [
  'charge',
  'checkout',
  'cancel',
  'refund',
  'find',
  'refund-sale',
  'returns',
  'webhook',
] as const;
/** Kinds of one operation, which is their default. */
const OF_ONE: Partial<Record<Kind, Operation>> = {
  pending: 'refund-sale',
  'fail-later': 'refund-sale',
  lost: 'webhook',
  forged: 'webhook',
  reordered: 'webhook',
};
const ALSO_OF_WEBHOOKS: readonly Kind[] = ['slow', 'twice'];
export type Operation = (typeof OPERATIONS)[number];

/** An hour: longer than any test, short enough for a timer. */
const DELAY_MS_MAX = 3_600_000;

const oneOf = <T extends string>(name: string, values: readonly T[]) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description: `${name} must be one of ${values.join(', ')}` },
  );
const whole = (name: string, minimum: number, maximum: number) => {
  const description = `${name} must be a whole number from ${minimum} to ${maximum}`;
  return Type.Optional(Type.Integer({ minimum, maximum, description }));
};
const fraction = (name: string) =>
  Type.Optional(
    Type.Number({ minimum: 0, maximum: 1, description: `${name} must be from 0 to 1` }),
  );
const text = (name: string) =>
  Type.Optional(Type.String({ minLength: 1, description: `${name} must be a text` }));

const RuleBody = Type.Object(
  {
    kind: oneOf('kind', KINDS),
    operation: Type.Optional(oneOf('operation', OPERATIONS)),
    delayMs: whole('delayMs', 1, DELAY_MS_MAX),
    status: whole('status', 500, 599),
    code: text('code'),
    keyPrefix: text('keyPrefix'),
    keyPattern: text('keyPattern'),
    rate: fraction('rate'),
    times: whole('times', 1, Number.MAX_SAFE_INTEGER),
  },
  { additionalProperties: false, description: 'a rule must be an object' },
);

const parseBody = createParser(
  Type.Object(
    {
      declineRate: fraction('declineRate'),
      rules: Type.Optional(Type.Array(RuleBody, { description: 'rules must be an array' })),
    },
    { additionalProperties: false, description: 'the body must be an object' },
  ),
);

type RuleBody = Static<typeof RuleBody>;
/** A rule with its defaults. */
export type Rule = ReturnType<typeof withDefaults>;

export type Misbehaviour = ReturnType<typeof createMisbehaviour>;

/** Nothing but declines, at `defaultDeclineRate` (0 to 1), until rules are set. */
export function createMisbehaviour(defaultDeclineRate: number) {
  let declineRate = defaultDeclineRate;
  let active: { rule: Rule; fired: number }[] = [];
  return {
    /** Applies from the next request on. Throws an InvalidRequestError, and changes nothing, for an invalid body. */
    set(body: unknown): void {
      const wanted = parseBody(body);
      active = (wanted.rules ?? []).map((rule) => ({ rule: withDefaults(rule), fired: 0 }));
      declineRate = wanted.declineRate ?? defaultDeclineRate;
    },
    reset(): void {
      declineRate = defaultDeclineRate;
      active = [];
    },
    show: () => ({ declineRate, rules: active.map(({ rule, fired }) => ({ ...rule, fired })) }),
    /** The rule for this request, which counts as fired; undefined without one. */
    take(operation: Operation, key: string): Rule | undefined {
      const found = active.find(
        ({ rule, fired }) =>
          rule.operation === operation && matches(rule, key) && fired < (rule.times ?? Infinity),
      );
      if (!found) return undefined;
      found.fired += 1;
      return found.rule;
    },
    declineRate: () => declineRate,
  };
}

/** Whether a key is in a fraction (0 to 1) of all: the same keys in every run. */
export function isInFraction(key: string, fraction: number): boolean {
  return createHash('sha256').update(key).digest().readUInt32BE(0) / 2 ** 32 < fraction;
}

function matches({ kind, keyPrefix, keyPattern, rate = 1 }: Rule, key: string): boolean {
  if (keyPrefix !== undefined && !key.startsWith(keyPrefix)) return false;
  // Each kind has keys of its own.
  if (rate < 1 && !isInFraction(`${kind}:${key}`, rate)) return false;
  return keyPattern === undefined || new RegExp(keyPattern).test(key);
}

function withDefaults(rule: RuleBody) {
  const { kind, delayMs, keyPattern } = rule;
  const only = OF_ONE[kind];
  const operation = rule.operation ?? only ?? 'charge';
  const isPossible =
    only === undefined
      ? operation !== 'webhook' || ALSO_OF_WEBHOOKS.includes(kind)
      : only === operation;
  if (!isPossible) throw new InvalidRequestError(`${kind} is no misbehaviour of ${operation}`);
  if (kind === 'decline' && operation !== 'charge') {
    throw new InvalidRequestError('only a charge is declined');
  }
  if (kind === 'slow' && delayMs === undefined) throw new InvalidRequestError('slow needs delayMs');
  try {
    if (keyPattern !== undefined) new RegExp(keyPattern);
  } catch (error) {
    throw new InvalidRequestError(`keyPattern is not a regular expression: ${String(error)}`);
  }
  return { delayMs: 0, status: 503, code: 'card_declined', ...rule, operation };
}
