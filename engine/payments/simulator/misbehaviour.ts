/*
  Faults on demand, switched while the simulator runs:

    PUT    /misbehaviour   replaces everything that was set; GET shows it; DELETE resets it

    { "declineRate": 0.5,
      "rules": [ { "kind": "hang-after", "keyPrefix": "req-123:", "times": 1 } ] }

  declineRate   fraction of the keys seen from now on that are declined, 0 to 1; absent: as started

  kind          slow         answers as usual, only late; needs delayMs
                hang-before  does nothing and never answers
                hang-after   takes effect and never answers
                fail-before  does nothing and answers `status`
                fail-after   takes effect and answers `status`
                drop-after   takes effect and closes the connection without an answer
                twice        carries the request out twice at the same time, as after a redelivery inside
                             the provider, and gives the second answer
                decline      declines with `code`; a key that was charged before is not touched

  For any kind  operation    charge (default), refund or find; decline is for charges only
                delayMs      waits this long first; what takes effect does so after the wait, also when the
                             caller has long given up
                keyPrefix    only keys that begin so
                keyPattern   only keys that this regular expression finds
                times        how many requests it hits; absent: all until reset
  Only some     status       500 to 599, default 503
                code         default card_declined

  The first rule that fits a request is applied to it, no other. GET adds to each rule how often it has
  `fired`, so that a test can wait for it.
*/
import { isRecord, Invalid } from './request';

const KINDS = [
  'slow',
  'hang-before',
  'hang-after',
  'fail-before',
  'fail-after',
  'drop-after',
  'twice',
  'decline',
] as const;
const OPERATIONS = ['charge', 'refund', 'find'] as const;

/** An hour: longer than any test, short enough for a timer. */
const DELAY_MS_MAX = 3_600_000;

export type Operation = (typeof OPERATIONS)[number];

export interface Rule {
  readonly kind: (typeof KINDS)[number];
  readonly operation: Operation;
  readonly delayMs: number;
  readonly status: number;
  readonly code: string;
  readonly keyPrefix?: string;
  readonly keyPattern?: string;
  readonly times?: number;
}

export interface Misbehaviour {
  /** Takes effect for the next request. Throws Invalid, and changes nothing, when `raw` is not as described above. */
  readonly set: (raw: unknown) => void;
  readonly reset: () => void;
  readonly show: () => {
    readonly declineRate: number;
    readonly rules: readonly (Rule & { readonly fired: number })[];
  };
  /** The rule for this request, used up by one, or undefined to behave. */
  readonly take: (operation: Operation, key: string) => Rule | undefined;
  readonly declineRate: () => number;
}

/** Nothing but declines, at `defaultDeclineRate` (0 to 1), until told otherwise. */
export function createMisbehaviour(defaultDeclineRate: number): Misbehaviour {
  let declineRate = defaultDeclineRate;
  let active: { rule: Rule; fired: number }[] = [];
  return {
    set(raw) {
      const wanted = fieldsOf(raw, 'the body', ['declineRate', 'rules']);
      const rules = wanted['rules'] ?? [];
      if (!Array.isArray(rules)) throw new Invalid('rules must be an array');
      const parsed = rules.map(parseRule);
      declineRate =
        numberIn(wanted, 'declineRate', { min: 0, max: 1, whole: false }) ?? defaultDeclineRate;
      active = parsed.map((rule) => ({ rule, fired: 0 }));
    },
    reset() {
      declineRate = defaultDeclineRate;
      active = [];
    },
    show: () => ({
      declineRate,
      rules: active.map(({ rule, fired }) => ({ ...rule, fired })),
    }),
    take(operation, key) {
      const found = active.find(
        ({ rule, fired }) =>
          rule.operation === operation && fits(rule, key) && fired < (rule.times ?? Infinity),
      );
      if (!found) return undefined;
      found.fired += 1;
      return found.rule;
    },
    declineRate: () => declineRate,
  };
}

function fits({ keyPrefix, keyPattern }: Rule, key: string): boolean {
  if (keyPrefix !== undefined && !key.startsWith(keyPrefix)) return false;
  return keyPattern === undefined || new RegExp(keyPattern).test(key);
}

const RULE_FIELDS = [
  ...['kind', 'operation', 'delayMs', 'status', 'code', 'keyPrefix', 'keyPattern', 'times'],
];

function parseRule(raw: unknown): Rule {
  const rule = fieldsOf(raw, 'a rule', RULE_FIELDS);
  const kind = KINDS.find((known) => known === rule['kind']);
  if (!kind) throw new Invalid(`kind must be one of ${KINDS.join(', ')}`);
  const operation = OPERATIONS.find((known) => known === (rule['operation'] ?? 'charge'));
  if (!operation) throw new Invalid(`operation must be one of ${OPERATIONS.join(', ')}`);
  if (kind === 'decline' && operation !== 'charge') throw new Invalid('only a charge is declined');

  const delayMs = numberIn(rule, 'delayMs', { min: 1, max: DELAY_MS_MAX, whole: true });
  if (kind === 'slow' && delayMs === undefined) throw new Invalid('slow needs delayMs');
  const times = numberIn(rule, 'times', { min: 1, max: Number.MAX_SAFE_INTEGER, whole: true });
  const keyPrefix = textIn(rule, 'keyPrefix');
  const keyPattern = textIn(rule, 'keyPattern');
  if (keyPattern !== undefined) checkPattern(keyPattern);
  return {
    kind,
    operation,
    delayMs: delayMs ?? 0,
    status: numberIn(rule, 'status', { min: 500, max: 599, whole: true }) ?? 503,
    code: textIn(rule, 'code') ?? 'card_declined',
    ...(keyPrefix === undefined ? {} : { keyPrefix }),
    ...(keyPattern === undefined ? {} : { keyPattern }),
    ...(times === undefined ? {} : { times }),
  };
}

function fieldsOf(raw: unknown, what: string, known: readonly string[]): Record<string, unknown> {
  if (!isRecord(raw)) throw new Invalid(`${what} must be an object`);
  const unknown = Object.keys(raw).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Invalid(`${what} has an unknown field "${unknown}"`);
  return raw;
}

function numberIn(
  fields: Record<string, unknown>,
  name: string,
  { min, max, whole }: { min: number; max: number; whole: boolean },
): number | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  const fitting = typeof value === 'number' && value >= min && value <= max;
  if (!fitting || (whole && !Number.isInteger(value))) {
    throw new Invalid(`${name} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`);
  }
  return value;
}

function textIn(fields: Record<string, unknown>, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') throw new Invalid(`${name} must be a text`);
  return value;
}

function checkPattern(pattern: string): void {
  try {
    new RegExp(pattern);
  } catch (error) {
    throw new Invalid(`keyPattern is not a regular expression: ${String(error)}`);
  }
}
