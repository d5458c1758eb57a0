import type { Order } from '../../orders/order';
import type { StoredDeadLetter } from '../../kafka/dead-letters';
import { fingerprint } from '../../orders/fingerprint';
import { decodeOrder, type DecodedOrder } from '../../orders/order-record';
import { OperatorFault } from '../operator-error';

/**
 * The order in the bytes that somebody has mended, checked as ingest checks a record; nobody computes a fingerprint by
 * hand, so an absent one is filled in. Throws an OperatorFault, which calls the bytes `name`, when they are no order or
 * not the letter's.
 */
export function parseMendedOrder(bytes: Buffer, letter: StoredDeadLetter, name: string): Order {
  const decoded = decodeWithFingerprint(bytes);
  if (decoded.kind === 'invalid') {
    const hint = decoded.problem.startsWith('/fingerprint')
      ? ' (leave it out, and it is computed)'
      : '';
    const message = `${name} is no order: ${decoded.problem}${hint}. Nothing was changed.`;
    throw new OperatorFault('invalid', message);
  }
  const { order } = decoded;
  if (letter.requestId !== undefined && order.requestId !== letter.requestId) {
    throw new OperatorFault(
      'invalid',
      `${name} is the order ${order.requestId}, but the letter ${letter.id} is about ${letter.requestId}. Nothing was changed.`,
    );
  }
  return order;
}

/** Only a record that lacks nothing before its fingerprint is known to be JSON, and is decoded again with one. */
function decodeWithFingerprint(bytes: Buffer): DecodedOrder {
  const decoded = decodeOrder(bytes);
  if (decoded.kind === 'order' || !decoded.problem.startsWith('/fingerprint')) return decoded;
  const record = JSON.parse(bytes.toString('utf8')) as Readonly<Record<string, unknown>>;
  if ('fingerprint' in record) return decoded;
  const { user_id: userId, item_id: itemId, amount } = record;
  const computed = fingerprint({ userId, itemId, amount } as Parameters<typeof fingerprint>[0]);
  return decodeOrder(Buffer.from(JSON.stringify({ ...record, fingerprint: computed })));
}
