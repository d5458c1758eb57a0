import { Type, type Static } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { ValueErrorType, type ValueError } from '@sinclair/typebox/errors';
import {
  AMOUNT_MAX,
  ID_LENGTH_MAX,
  ID_PATTERN,
  type ItemId,
  type Purchase,
  type RequestId,
  type UserId,
} from '../../domain/order';
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

/** One error a field: the first fault is the one to mend. */
function fieldErrors(value: unknown): FieldError[] {
  const byPath = new Map<string, FieldError>();
  for (const fault of buyRequest.Errors(value)) {
    if (byPath.has(fault.path)) continue;
    byPath.set(fault.path, { path: fault.path, message: explain(fault) });
    if (byPath.size === ERRORS_MAX) break;
  }
  return [...byPath.values()];
}

function explain(fault: ValueError): string {
  if (fault.type === ValueErrorType.ObjectRequiredProperty) return 'is required';
  if (fault.type === ValueErrorType.ObjectAdditionalProperties) return 'is not a known field';
  return fault.schema.description ?? fault.message;
}

function requestIdOf(value: unknown): RequestId | undefined {
  const isObject =
    typeof value === 'object' && value !== null && Object.hasOwn(value, 'request_id');
  return isObject && 'request_id' in value ? parseRequestId(value.request_id) : undefined;
}

function invalid(errors: readonly FieldError[], requestId?: RequestId): ParsedBuyRequest {
  return { kind: 'invalid', errors, ...(requestId !== undefined && { requestId }) };
}
