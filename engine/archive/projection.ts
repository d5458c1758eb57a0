import type { Insertable } from 'kysely';
import { decodeDeadLetter, decodeMark } from '../kafka/dead-letters';
import type { LogRecord } from '../kafka/consumer';
import { decodeAction } from '../operators/action-log';
import type { Order, OrderId } from '../orders/order';
import { decodeOrderEvent, type OrderEvent } from '../orders/order-event';
import { decodeOrder } from '../orders/order-record';
import { decodeReturnEvent, type ReturnEvent } from '../orders/return-event';
import { rankOf } from '../orders/sale-return';
import type { ArchiveTables } from './database';

/** The logs that are archived. */
export type ArchivedLog = 'orders' | 'order-events' | 'dead-letters' | 'operator-actions';

type ProjectedTable = Exclude<
  keyof ArchiveTables,
  'log_positions' | 'order_states' | 'refusals' | 'stock_changes'
>;
type Row<T extends ProjectedTable> = Insertable<ArchiveTables[T]>;

/** Rows to insert or to update, at most one of each key, in the order of their keys: two archivers lock them in one order. */
export type Changes = { readonly [T in ProjectedTable]: readonly Row<T>[] };

/**
 * How rows of one key become one: each is inserted, unless the present one is as good. What makes one better than another
 * is part of the rows, and equally good ones are the same, so the result depends neither on the order nor on the number of
 * times in which they come. `store.ts` has the same rule as SQL for the rows that are in the database.
 */
type Rule<T extends ProjectedTable> = {
  readonly key: (row: Row<T>) => string;
  readonly isBetter: (row: Row<T>, present: Row<T>) => boolean;
};
const isFirst = (row: Place, present: Place) =>
  row.partition < present.partition ||
  (row.partition === present.partition &&
    Number(row.record_offset) < Number(present.record_offset));
type Place = Pick<Row<'set_aside'>, 'partition' | 'record_offset'>;

export const RULES: { readonly [T in ProjectedTable]: Rule<T> } = {
  /** The newest event has all that is known of an order, and more than its record. */
  orders: {
    key: ({ order_id }) => order_id,
    isBetter: (row, present) => Number(row.revision) > Number(present.revision),
  },
  order_events: {
    key: ({ order_id, revision }) => `${order_id}:${revision}`,
    isBetter: () => false,
  },
  order_returns: {
    key: ({ order_id, kind, id }) => `${order_id}:${kind}:${id}`,
    isBetter: (row, present) => rankOf(row) > rankOf(present),
  },
  /** A letter and a mark may be in the log twice: the first counts, as for all readers of the log. */
  dead_letters: { key: ({ letter_id }) => letter_id, isBetter: isFirst },
  dead_letter_marks: {
    key: ({ letter_id, at, kind, by }) => JSON.stringify([letter_id, at, kind, by]),
    isBetter: isFirst,
  },
  operator_actions: {
    key: ({ action_id }) => action_id,
    isBetter: (row, present) => row.outcome !== null && present.outcome === null,
  },
  set_aside: {
    key: ({ topic, partition, record_offset }) => `${topic}:${partition}:${record_offset}`,
    isBetter: () => false,
  },
};

/** What records of one log change in the archive. Never throws: a record that is no such record is set aside. */
export function project(log: ArchivedLog, records: readonly LogRecord[]): Changes {
  const rows: { [T in ProjectedTable]: Map<string, Row<T>> } = {
    orders: new Map(),
    order_events: new Map(),
    order_returns: new Map(),
    dead_letters: new Map(),
    dead_letter_marks: new Map(),
    operator_actions: new Map(),
    set_aside: new Map(),
  };
  const put = <T extends ProjectedTable>(table: T, row: Row<T>) => {
    const rule: Rule<T> = RULES[table];
    const key = rule.key(row);
    const present = rows[table].get(key);
    if (!present || rule.isBetter(row, present)) rows[table].set(key, row);
  };
  for (const record of records) {
    const problem = PROJECTIONS[log](record, put);
    if (problem !== undefined) put('set_aside', setAsideRow(record, problem));
  }
  return {
    orders: sorted(rows.orders),
    order_events: sorted(rows.order_events),
    order_returns: sorted(rows.order_returns),
    dead_letters: sorted(rows.dead_letters),
    dead_letter_marks: sorted(rows.dead_letter_marks),
    operator_actions: sorted(rows.operator_actions),
    set_aside: sorted(rows.set_aside),
  };
}

function sorted<T>(rows: ReadonlyMap<string, T>): T[] {
  return [...rows.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row);
}

/** The change of a record that PostgreSQL refuses. */
export function setAside(record: LogRecord, problem: string): Changes {
  return { ...project('orders', []), set_aside: [setAsideRow(record, problem)] };
}

type Put = <T extends ProjectedTable>(table: T, row: Row<T>) => void;

/** Each puts the rows of a record, or says what is wrong with it. */
const PROJECTIONS: Record<ArchivedLog, (record: LogRecord, put: Put) => string | undefined> = {
  orders: ({ value }, put) => {
    const decoded = decodeOrder(value);
    if (decoded.kind === 'invalid') return decoded.problem;
    const { order } = decoded;
    if (order.acceptedAt > TIME_MAX) return '/accepted_at: a time that does not exist';
    put('orders', {
      ...identityOf(order, orderKey(order)),
      status: 'queued',
      reason: null,
      payment_id: null,
      generation: 0,
      revision: 0,
      finished_at: null,
      pay_within_ms: order.payWithinMs ?? null,
    });
    return undefined;
  },
  'order-events': ({ value }, put) => {
    const returned = decodeReturnEvent(value);
    if (returned.kind === 'event') put('order_returns', returnRow(returned.event));
    if (returned.kind !== 'other')
      return returned.kind === 'invalid' ? returned.problem : undefined;
    const decoded = decodeOrderEvent(value);
    if (decoded.kind === 'invalid') return decoded.problem;
    const { event } = decoded;
    const { orderId } = event.order;
    const state = stateOf(event);
    const at = time(event.at);
    put('order_events', { order_id: orderId, ...state, at });
    put('orders', {
      ...identityOf(event.order, orderId),
      ...state,
      finished_at: at,
      pay_within_ms: null,
    });
    return undefined;
  },
  'dead-letters': (record, put) => {
    const place = { partition: record.partition, record_offset: record.offset };
    const mark = decodeMark(record);
    if (mark) {
      const { letterId, kind, by, why, runId = null } = mark;
      const at = time(mark.at);
      put('dead_letter_marks', {
        letter_id: letterId,
        at,
        kind,
        by: withoutNul(by),
        why: withoutNul(why),
        run_id: runId,
        ...place,
      });
      return undefined;
    }
    const letter = decodeDeadLetter(record);
    const { source } = letter;
    put('dead_letters', {
      letter_id: letter.id,
      request_id: letter.requestId ?? null,
      order_id: letter.orderId ?? orderKeyIn(letter.value),
      item_id: letter.itemId ?? null,
      reason: letter.reason,
      error: withoutNul(letter.error),
      generation: letter.generation,
      run_id: letter.runId ?? null,
      at: time(letter.at),
      source_topic: source?.topic ?? null,
      source_partition: source?.partition ?? null,
      source_offset: source?.offset ?? null,
      value: letter.value,
      ...place,
    });
    return undefined;
  },
  'operator-actions': ({ value }, put) => {
    const record = decodeAction(value);
    if (!record) return 'not a record of an action';
    const { id, phase, before, after, request, ...rest } = record;
    put('operator_actions', {
      action_id: id,
      at: rest.at,
      action: rest.action,
      item_id: rest.item_id,
      by: rest.by,
      on_behalf_of: rest.on_behalf_of,
      role: rest.role,
      credential: rest.credential,
      door: rest.door,
      http_request_id: rest.http_request_id,
      why: rest.why,
      request: json(request),
      outcome: phase === 'outcome' ? (rest.outcome ?? 'unknown') : null,
      detail: rest.detail,
      before: json(before),
      after: json(after),
    });
    return undefined;
  },
};

/**
 * Under which an order is kept. One without an order id is known by its request_id and the time of its acceptance: the
 * place of its record would make two orders of a record that was appended twice. No order id has an @.
 */
export function orderKey({
  orderId,
  requestId,
  acceptedAt,
}: Pick<Order, 'orderId' | 'requestId' | 'acceptedAt'>): string {
  return orderId ?? `${requestId}@${String(acceptedAt)}`;
}

function orderKeyIn(value: Buffer): string | null {
  const decoded = decodeOrder(value);
  return decoded.kind === 'order' ? orderKey(decoded.order) : null;
}

function identityOf(
  order: Omit<Order, 'orderId' | 'fingerprint'> & { orderId?: OrderId | undefined },
  key: string,
) {
  return {
    order_id: key,
    request_id: order.requestId,
    item_id: order.itemId,
    user_id: order.userId,
    amount: order.amount,
    price_minor: order.priceMinor,
    currency: order.currency,
    accepted_at: time(order.acceptedAt),
  };
}

function stateOf({ revision, status, reason, paymentId, generation }: OrderEvent) {
  return { revision, status, reason: reason ?? null, payment_id: paymentId ?? null, generation };
}

function returnRow({ order, returned }: ReturnEvent): Row<'order_returns'> {
  const { kind, id, operationId, amountMinor, status, reason, at } = returned;
  return {
    order_id: order.orderId,
    kind,
    id,
    operation_id: operationId ?? null,
    amount_minor: amountMinor,
    status,
    reason: reason === undefined ? null : withoutNul(reason),
    at: time(at),
  };
}

/** Below it nothing is confused by a year of five digits. */
const TIME_MAX = Date.UTC(9999, 11, 31);

/** One that is impossible counts as unknown. */
function time(at: number): string {
  return new Date(at > TIME_MAX ? 0 : at).toISOString();
}

function json(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

/** Parsers quote what they do not understand. */
const PROBLEM_LENGTH_MAX = 500;

export function setAsideRow(
  { topic, partition, offset, key, value, headers }: LogRecord,
  problem: string,
) {
  return {
    topic,
    partition,
    record_offset: offset,
    problem: withoutNul(problem).slice(0, PROBLEM_LENGTH_MAX),
    key,
    value,
    headers: encodeHeaders(headers),
  };
}

/** Records that the log has lost before they were archived, among those that were set aside: each may be an order's end. */
export function holeRow({
  topic,
  partition,
  from,
  to,
}: {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
  /** The first offset behind them. */
  readonly to: bigint;
}) {
  const problem = `${to - from} records, up to ${to - 1n}, had left the log before they were archived`;
  return {
    topic,
    partition,
    record_offset: String(from),
    problem,
    key: null,
    value: null,
    headers: null,
  };
}

/** NUL is the only character that PostgreSQL has in no text. An error quotes what a buyer has sent. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '\u2400');
}

/** Values are bytes. */
function encodeHeaders(headers: LogRecord['headers']): Buffer {
  const encoded = Object.entries(headers).map(([name, value]) => {
    const [first] = Array.isArray(value) ? value : [value];
    return [name, first === undefined ? null : Buffer.from(first).toString('base64')];
  });
  return Buffer.from(JSON.stringify(Object.fromEntries(encoded)));
}
