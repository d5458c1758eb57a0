import fc from 'fast-check';
import type { ArchivedLog } from '../../engine/archive/projection';
import { createDeadLetterWriter, createMarkWriter } from '../../engine/kafka/dead-letters';
import type { LogRecord } from '../../engine/kafka/consumer';
import type { LogEntry } from '../../engine/kafka/safe-producer';
import { MARK_KINDS, type DeadLetter } from '../../engine/orders/dead-letter';
import { FAILURE_REASONS, type Order, type OrderId } from '../../engine/orders/order';
import { encodeOrderEvent, EVENT_STATUSES, type OrderEvent } from '../../engine/orders/order-event';
import { encodeOrder } from '../../engine/orders/order-record';
import { encodeReturnEvent, type ReturnEvent } from '../../engine/orders/return-event';
import { RETURN_STATUSES } from '../../engine/orders/sale-return';
import { anOrder, aPurchase } from './purchases';

/** A record, and which log it is in. */
export interface Archived {
  readonly log: ArchivedLog;
  readonly record: LogRecord;
}

const ACCEPTED_AT = 1_700_000_000_000;

/** An acceptance with an order id. */
export function anAcceptance(
  fields: Parameters<typeof aPurchase>[0] & { orderId: string; acceptedAt?: number },
): Order & { readonly orderId: OrderId } {
  const { orderId, acceptedAt = ACCEPTED_AT } = fields;
  return { ...anOrder(aPurchase(fields)), orderId: orderId as OrderId, acceptedAt };
}

/** How an order ended. */
export function anEvent(
  order: Order & { readonly orderId: OrderId },
  fields: Partial<Omit<OrderEvent, 'order'>> = {},
): OrderEvent {
  const at = order.acceptedAt + 1_000;
  const reason = fields.status === 'failed' ? 'payment-declined' : undefined;
  return { order, revision: 3, at, status: 'confirmed', generation: 1, reason, ...fields };
}

/** Gives records their places, as appending them to the log does. */
export function createRecords() {
  const ends = new Map<ArchivedLog, number>();
  const append = (log: ArchivedLog, value: Buffer | null, headers: LogRecord['headers'] = {}) => {
    const offset = ends.get(log) ?? 0;
    ends.set(log, offset + 1);
    const record = { topic: log, partition: 0, offset: String(offset), key: null, value, headers };
    return { log, record };
  };
  /** What a writer appends. */
  const written = async (write: (producer: Producer) => Promise<void>): Promise<Archived> => {
    const entries: LogEntry[] = [];
    await write({
      append: (entry) => {
        entries.push(entry);
        return Promise.resolve({ partition: 0, offset: '0' });
      },
    });
    const [entry] = entries;
    if (!entry) throw new Error('nothing was written');
    return append('dead-letters', entry.value, entry.headers);
  };
  return {
    append,
    order: (order: Order) => append('orders', encodeOrder(order)),
    event: (event: OrderEvent) => append('order-events', encodeOrderEvent(event)),
    returned: (event: ReturnEvent) => append('order-events', encodeReturnEvent(event)),
    letter: (letter: DeadLetter) =>
      written((producer) => createDeadLetterWriter(producer).write(letter)),
    mark: (letter: DeadLetter, mark: Parameters<ReturnType<typeof createMarkWriter>['mark']>[1]) =>
      written((producer) => createMarkWriter(producer).mark(letter, mark)),
    action: (fields: Record<string, unknown>) =>
      append('operator-actions', Buffer.from(JSON.stringify(fields))),
  };
}
type Producer = Parameters<typeof createDeadLetterWriter>[0];

/** The letter of an order. */
export function aLetter(order: Order, fields: Partial<DeadLetter> = {}): DeadLetter {
  const { requestId, orderId, itemId } = order;
  return {
    id: `${requestId}:run-1`,
    requestId,
    orderId,
    itemId,
    reason: 'payment-declined',
    error: 'declined',
    generation: 1,
    at: order.acceptedAt + 2_000,
    value: encodeOrder(order),
    ...fields,
  };
}

/** A mark of a letter. */
export function aMark(kind: (typeof MARK_KINDS)[number], at: number) {
  return { kind, by: 'ann', why: 'a test', at };
}

const ACTION = { action: 'stock.open', by: 'ann', door: 'cli', at: '2026-11-29T12:00:00.000Z' };

/**
 * Records of all logs about a few orders: acceptances, also without an order id, events, letters, marks and actions, and among
 * them records that are none of these and records that were appended twice.
 */
export async function manyRecords(seed: number): Promise<Archived[]> {
  const [numbers = []] = fc.sample(fc.array(fc.nat(99), { minLength: 60, maxLength: 60 }), {
    numRuns: 1,
    seed,
  });
  const next = (() => {
    let i = 0;
    return (below: number) => (numbers[i++ % numbers.length] ?? 0) % below;
  })();
  const records = createRecords();
  const all: Archived[] = [];
  for (let i = 0; i < 4; i++) {
    const named = anAcceptance({ requestId: `req-${next(2)}`, orderId: `order-${i}` });
    const order: Order = next(4) === 0 ? { ...named, orderId: undefined } : named;
    all.push(records.order(order));
    if (next(3) === 0) all.push(records.order(order));
    if (order.orderId !== undefined) {
      const events = next(4);
      for (let revision = 1; revision <= events; revision++) {
        const status = EVENT_STATUSES[next(3)] ?? 'failed';
        const event = anEvent(named, { revision, status, at: ACCEPTED_AT + next(50) });
        all.push(records.event(event), ...(next(3) === 0 ? [records.event(event)] : []));
      }
    }
    if (next(2) === 0) {
      for (const kind of ['refund', 'dispute'] as const) {
        for (const status of RETURN_STATUSES[kind].slice(next(3))) {
          const returned = { kind, id: `${kind}-${next(2)}`, amountMinor: 1, status, at: 1 };
          all.push(records.returned({ order: named, returned }));
        }
      }
    }
    if (next(3) > 0) continue;
    const reason = FAILURE_REASONS[next(FAILURE_REASONS.length)] ?? 'sold-out';
    const letter = aLetter(order, { id: `letter-${i}`, reason });
    const mark = aMark(MARK_KINDS[next(3)] ?? 'sold', ACCEPTED_AT + next(50));
    all.push(await records.letter(letter), await records.mark(letter, mark));
    if (next(2) === 0) all.push(await records.letter(letter), await records.mark(letter, mark));
  }
  const intent = { ...ACTION, id: `action-${next(3)}`, phase: 'intent', outcome: null };
  const outcome = { ...intent, phase: 'outcome', outcome: 'done', after: { free: next(9) } };
  all.push(records.action(intent), records.action(outcome), records.action(intent));
  all.push(records.append('orders', Buffer.from('no order')), records.append('orders', null));
  all.push(records.append('order-events', encodeOrder(anOrder())));
  return all;
}

/** All records in some order, some of them again, in batches of one log each. */
export function deliveries(records: readonly Archived[]): fc.Arbitrary<Archived[][]> {
  const again = fc.array(fc.constantFrom(...records), { maxLength: 20 });
  return again
    .chain((repeated) => {
      const delivered = [...records, ...repeated];
      return fc.shuffledSubarray(delivered, { minLength: delivered.length });
    })
    .chain((shuffled) =>
      fc
        .array(fc.boolean(), { minLength: shuffled.length, maxLength: shuffled.length })
        .map((cuts) => batches(shuffled, cuts)),
    );
}

/** Cuts where `cuts` says so, and where the log changes. */
export function batches(records: readonly Archived[], cuts: readonly boolean[] = []): Archived[][] {
  const found: Archived[][] = [];
  records.forEach((one, i) => {
    const last = found.at(-1);
    if (!last || cuts[i] === true || last[0]?.log !== one.log) found.push([one]);
    else last.push(one);
  });
  return found;
}
