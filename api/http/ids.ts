import { isId, type ItemId, type RequestId, type UserId } from '../../engine/orders/order';

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
