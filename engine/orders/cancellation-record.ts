import { Type, type Static } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { Order } from './order';
import { decodeOrder, toRecord } from './order-record';

/** An order that ended for its buyer. With it the ledger's entry can be written again, wherever the order was lost. */
export interface Cancellation {
  readonly order: Order;
  /** When its units were released, in milliseconds since the epoch. */
  readonly at: number;
  readonly generation: number;
  /** As of the cancellation: they may be resolved since. */
  readonly unresolvedCharges: readonly number[];
}

/**
 * Whether an order is the one that was cancelled, and not a later one under the same request_id. Of an order that was accepted
 * again, because its first record had no answer, the log may name the first acceptance and the cancellation the last one.
 */
export function isCancelledBy(
  cancellation: Cancellation | undefined,
  { orderId, acceptedAt, fingerprint }: Pick<Order, 'orderId' | 'acceptedAt' | 'fingerprint'>,
): cancellation is Cancellation {
  const cancelled = cancellation?.order;
  if (cancelled?.fingerprint !== fingerprint) return false;
  if (orderId !== undefined && cancelled.orderId === orderId) return true;
  return cancelled.acceptedAt >= acceptedAt;
}

/** What a cancellation has beside the fields of its order's record. */
const CancellationFields = Type.Object({
  at: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  generation: Type.Integer({ minimum: 0 }),
  unresolved_charges: Type.Array(Type.Integer({ minimum: 1 })),
});
const cancellationFields = TypeCompiler.Compile(CancellationFields);

/** The record of a cancellation: the record of the order and what has become of it. */
export function encodeCancellation(cancellation: Cancellation): Buffer {
  const fields: Static<typeof CancellationFields> = {
    at: cancellation.at,
    generation: cancellation.generation,
    unresolved_charges: [...cancellation.unresolvedCharges],
  };
  return Buffer.from(JSON.stringify({ ...toRecord(cancellation.order), ...fields }));
}

/** Undefined for a record that is no cancellation: any client of Kafka may have written it. */
export function decodeCancellation(value: Buffer | null): Cancellation | undefined {
  const decoded = decodeOrder(value);
  if (decoded.kind === 'invalid' || value === null) return undefined;
  const fields: unknown = JSON.parse(value.toString('utf8'));
  if (!cancellationFields.Check(fields)) return undefined;
  return {
    order: decoded.order,
    at: fields.at,
    generation: fields.generation,
    unresolvedCharges: fields.unresolved_charges,
  };
}
