import {
  ID_LENGTH_MAX,
  ID_PATTERN,
  type ItemId,
  type RequestId,
  type UserId,
} from '../../domain/order';

const ID = new RegExp(ID_PATTERN);

/** Undefined for what cannot be an id, so that nothing of it gets into a key, a link or a body. */
export function parseRequestId(raw: unknown): RequestId | undefined {
  return isId(raw) ? (raw as RequestId) : undefined;
}

/** Undefined for what cannot be an id. */
export function parseItemId(raw: unknown): ItemId | undefined {
  return isId(raw) ? (raw as ItemId) : undefined;
}

/** Undefined for what cannot be an id. */
export function parseUserId(raw: unknown): UserId | undefined {
  return isId(raw) ? (raw as UserId) : undefined;
}

function isId(raw: unknown): raw is string {
  return typeof raw === 'string' && raw.length <= ID_LENGTH_MAX && ID.test(raw);
}
