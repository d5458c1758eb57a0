import { Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import {
  AMOUNT_MAX,
  ID_LENGTH_MAX,
  ID_PATTERN,
  parseRequestId,
  type ItemId,
  type Purchase,
  type RequestId,
  type UserId,
} from '../../engine/orders/order';
import { PaymentId } from '../../engine/orders/order-record';
import { problem } from '../http/problems';
import type { HttpResponse } from '../http/response';

/** Every description completes the sentence "this field …"; developers read it in errors and in the API documentation. */
export const Id = Type.String({
  pattern: ID_PATTERN,
  maxLength: ID_LENGTH_MAX,
  description: `must be a string of 1 to ${ID_LENGTH_MAX} characters, beginning with a letter or digit, then also any of . _ ~ : @ + = -`,
});

const FIELDS = {
  user_id: Id,
  item_id: Id,
  amount: Type.Integer({
    minimum: 1,
    maximum: AMOUNT_MAX,
    description: `must be a whole number from 1 to ${AMOUNT_MAX}`,
  }),
  request_id: Id,
};

const Payment = Type.Object(
  { payment_method: PaymentId, customer: Type.Optional(PaymentId) },
  {
    additionalProperties: false,
    description:
      'must be an object with the payment_method that the buyer has saved at the payment provider, such as pm_1N3T00, and perhaps the customer whose it is, such as cus_9s6X; each is letters, digits, _ and -',
  },
);

/** The body of POST /buy. */
export const BuyRequest = Type.Object(
  { ...FIELDS, payment: Type.Optional(Payment) },
  { additionalProperties: false, description: 'must be a JSON object' },
);
const buyRequest = TypeCompiler.Compile(BuyRequest);

/** The body where a token says who the buyer is. A payment method would be anybody's word. */
export const BuyRequestWithToken = Type.Object(
  { ...FIELDS, user_id: Type.Optional(Id) },
  { additionalProperties: false, description: 'must be a JSON object' },
);
const buyRequestWithToken = TypeCompiler.Compile(BuyRequestWithToken);

/**
 * All buyers share the request_ids, and a token proves nothing about them. Nobody guesses a UUID, so nobody can take an id
 * that another buyer is about to use.
 */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Reads the text of a buy request, whose buyer is `userId` if a token says so. Never throws: the problem with it names each
 * field that is wrong. Without a token the user_id must match `userIdPattern`, if there is one.
 */
export function parseBuyRequest(
  text: string,
  userId?: UserId,
  userIdPattern?: RegExp,
): Purchase | HttpResponse {
  const purchase = parsePurchase(text, userId, userIdPattern);
  if ('status' in purchase || userId === undefined) return purchase;
  const { requestId } = purchase;
  if (purchase.userId !== userId) return problem('other-user', { requestId });
  return UUID.test(requestId) ? purchase : problem('request-id-not-a-uuid', { requestId });
}

function parsePurchase(
  text: string,
  tokenUserId: UserId | undefined,
  userIdPattern: RegExp | undefined,
): Purchase | HttpResponse {
  const parsed = parseJson(text);
  if (parsed === undefined) {
    const message = text === '' ? 'must not be empty' : 'must be well-formed JSON';
    return invalid([{ path: '', message }]);
  }
  const shape = tokenUserId === undefined ? buyRequest : buyRequestWithToken;
  // The shape comes first, since it bounds the length of what the pattern is tried on.
  if (!shape.Check(parsed) || userIdPattern?.test(parsed.user_id ?? '') === false) {
    return invalid(fieldErrors(parsed, tokenUserId, userIdPattern), requestIdOf(parsed));
  }
  const requestId = parsed.request_id as RequestId;
  const { user_id: userId = tokenUserId, item_id: itemId, amount } = parsed;
  const payment = 'payment' in parsed ? parsed.payment : undefined;
  const fields = Object.keys(parsed).length + Object.keys(payment ?? {}).length;
  if (countFields(text) !== fields) {
    return invalid([{ path: '', message: 'must name each field once' }], requestId);
  }
  const purchase = { requestId, userId: userId as UserId, itemId: itemId as ItemId, amount };
  if (!payment) return purchase;
  return { ...purchase, payment: { method: payment.payment_method, customer: payment.customer } };
}

/** Undefined, which no JSON can stand for, when the text is malformed: an outcome here, not a failure. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * JSON.parse keeps the last of two equal names; a proxy in front may have read the first. In a request that is otherwise
 * valid no string holds a quote, so each quote before a colon ends a name, and a repeated name adds one.
 */
function countFields(text: string): number {
  return text.match(/"\s*:/g)?.length ?? 0;
}

/** A body of 16 KiB can hold a thousand errors; the first few say what kind of body it is. */
const ERRORS_MAX = 20;

/** Each field by itself: the compiler's own list of errors takes an eighth of such a response's time. */
const FIELD_CHECKS = Object.entries(BuyRequest.properties).map(([name, schema]) => ({
  name,
  check: TypeCompiler.Compile(schema),
  message: schema.description ?? '',
}));
const OPTIONAL: ReadonlySet<string> = new Set(['payment']);
const KNOWN_FIELDS: ReadonlySet<string> = new Set(FIELD_CHECKS.map(({ name }) => name));

/** One error for each field. */
function fieldErrors(
  value: unknown,
  tokenUserId: UserId | undefined,
  userIdPattern: RegExp | undefined,
) {
  if (!isObject(value)) return [{ path: '', message: BuyRequest.description ?? '' }];
  const errors: { path: string; message: string }[] = [];
  const isKnown = (name: string) =>
    KNOWN_FIELDS.has(name) && !(name === 'payment' && tokenUserId !== undefined);
  for (const { name, check, message } of FIELD_CHECKS.filter((one) => isKnown(one.name))) {
    if (!Object.hasOwn(value, name)) {
      if (OPTIONAL.has(name)) continue;
      if (name === 'user_id' && tokenUserId !== undefined) continue;
      errors.push({ path: `/${name}`, message: 'is required' });
    } else if (!check.Check(value[name])) errors.push({ path: `/${name}`, message });
    else if (name === 'user_id' && userIdPattern?.test(value[name] as string) === false) {
      errors.push({ path: `/${name}`, message: `must match ${userIdPattern.source}` });
    }
  }
  for (const name of Object.keys(value)) {
    if (errors.length >= ERRORS_MAX) break;
    if (isKnown(name)) continue;
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

/** `path` is a JSON pointer; empty for the whole body. */
function invalid(errors: readonly { path: string; message: string }[], requestId?: RequestId) {
  return problem('invalid-request', { requestId, members: { errors } });
}
