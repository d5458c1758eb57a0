import { hash } from 'node:crypto';
import type { Purchase } from './order';

/** 22 characters of base64url are 132 bits: no two purchases will ever share them by chance. */
const FINGERPRINT_LENGTH = 22;

/**
 * Tells whether two requests under one request_id ask for the same thing. Depends on user, item and amount alone;
 * JSON keeps their borders apart, so that ("a", "b1") and ("ab", "1") never meet.
 */
export function fingerprint(purchase: Pick<Purchase, 'userId' | 'itemId' | 'amount'>): string {
  const text = JSON.stringify([purchase.userId, purchase.itemId, purchase.amount]);
  return hash('sha256', text, 'base64url').slice(0, FINGERPRINT_LENGTH);
}
