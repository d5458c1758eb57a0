import { Type, type Static } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import {
  AMOUNT_MAX,
  ID_LENGTH_MAX,
  ID_PATTERN,
  type ItemId,
  type Purchase,
  type RequestId,
  type UserId,
} from '../../engine/orders/order';
import { parseRequestId } from '../http/ids';

/** Every description completes the sentence "this field …": it is what a buyer's developer reads. */
export const Id = Type.String({
  pattern: ID_PATTERN,
  maxLength: ID_LENGTH_MAX,
  description: `must be a string of 1 to ${ID_LENGTH_MAX} characters, beginning with a letter or digit, then also any of . _ ~ : @ + = -`,
});

/** The body of POST /buy. */
export const BuyRequest = Type.Object(
  {
    user_id: Id,
    item_id: Id,
    amount: Type.Integer({
      minimum: 1,
      maximum: AMOUNT_MAX,
      description: `must be a whole number from 1 to ${AMOUNT_MAX}`,
    }),
    request_id: Id,
  },
  { additionalProperties: false, description: 'must be a JSON object' },
);
const buyRequest = TypeCompiler.Compile(BuyRequest);

export interface FieldError {
  /** JSON pointer; empty for the whole body. */
  readonly path: string;
  readonly message: string;
}

export type ParsedBuyRequest =
  | { readonly kind: 'purchase'; readonly purchase: Purchase }
  | {
      readonly kind: 'invalid';
      readonly errors: readonly FieldError[];
      /** There when at least this could be read. */
      readonly requestId?: RequestId;
    };

/** Reads the text of a buy request. Never throws: what is wrong comes back, field by field. */
export function parseBuyRequest(text: string): ParsedBuyRequest {
  const parsed = parseJson(text);
  if (parsed === MALFORMED) return invalid([{ path: '', message: 'must be well-formed JSON' }]);
  if (!buyRequest.Check(parsed)) return invalid(fieldErrors(parsed), requestIdOf(parsed));
  if (countFields(text) !== FIELDS) {
    const errors = [{ path: '', message: 'must name each field once' }];
    return invalid(errors, parseRequestId(parsed.request_id));
  }
  return { kind: 'purchase', purchase: toPurchase(parsed) };
}

const MALFORMED = Symbol('malformed');

/** The text's value; a text that is no JSON is an answer here, not a fault. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return MALFORMED;
  }
}

/**
 * JSON keeps the last of two equal names, a proxy in front may have looked at the first. In a request that is otherwise
 * valid no string holds a quote, so each quote before a colon ends a name; a name that was overwritten only adds to them.
 */
function countFields(text: string): number {
  return text.match(/"\s*:/g)?.length ?? 0;
}

const FIELDS = Object.keys(BuyRequest.properties).length;

function toPurchase(request: Static<typeof BuyRequest>): Purchase {
  return {
    requestId: request.request_id as RequestId,
    userId: request.user_id as UserId,
    itemId: request.item_id as ItemId,
    amount: request.amount,
  };
}

/** A body of 16 KiB can hold a thousand faults; the first few say what kind of body it is. */
const ERRORS_MAX = 20;

/** Each field by itself: the compiler's own list of errors takes an eighth of such an answer's time. */
const FIELD_CHECKS = Object.entries(BuyRequest.properties).map(([name, schema]) => ({
  name,
  check: TypeCompiler.Compile(schema),
  message: schema.description ?? '',
}));
const KNOWN_FIELDS: ReadonlySet<string> = new Set(FIELD_CHECKS.map(({ name }) => name));

/** One error a field: the first fault is the one to mend. */
function fieldErrors(value: unknown): FieldError[] {
  if (!isObject(value)) return [{ path: '', message: BuyRequest.description ?? '' }];
  const errors: FieldError[] = [];
  for (const { name, check, message } of FIELD_CHECKS) {
    if (!Object.hasOwn(value, name)) errors.push({ path: `/${name}`, message: 'is required' });
    else if (!check.Check(value[name])) errors.push({ path: `/${name}`, message });
  }
  for (const name of Object.keys(value)) {
    if (errors.length >= ERRORS_MAX) break;
    if (KNOWN_FIELDS.has(name)) continue;
    errors.push({ path: `/${escapePointer(name)}`, message: 'is not a known field' });
  }
  return errors;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name within a JSON pointer, RFC 6901. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function requestIdOf(value: unknown): RequestId | undefined {
  const found = isObject(value) && Object.hasOwn(value, 'request_id');
  return found ? parseRequestId(value['request_id']) : undefined;
}

function invalid(errors: readonly FieldError[], requestId?: RequestId): ParsedBuyRequest {
  return { kind: 'invalid', errors, ...(requestId !== undefined && { requestId }) };
}
