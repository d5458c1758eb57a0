import { pino } from 'pino';
import {
  createStartOrders,
  type OrderStarter,
  type RecordOutcome,
  type StartOrdersDeps,
  type StartResult,
} from '../../ingest/start-orders';
import type { Order, OrderId, RequestId } from '../../engine/orders/order';
import type { LogRecord } from '../../engine/kafka/consumer';
import type { DeadLetter } from '../../engine/orders/dead-letter';
import { encodeOrder } from '../../engine/orders/order-record';
import type { OrderInput } from '../../engine/orders/contract';

/** Temporal as ingest uses it: one open workflow per id. None ends by itself. */
export function createFakeStarter() {
  const workflows = new Map<RequestId, OrderInput>();
  /** Ids whose workflow has ended. */
  const closed = new Set<RequestId>();
  const state = { calls: 0, underWay: 0, underWayMax: 0 };
  /** The next starts throw these, in turn. */
  const errors: Error[] = [];
  const starter: OrderStarter = {
    async start(input, kind): Promise<StartResult> {
      state.calls++;
      state.underWayMax = Math.max(state.underWayMax, ++state.underWay);
      await new Promise(setImmediate);
      state.underWay--;
      const error = errors.shift();
      if (error) throw error;
      const existing = workflows.get(input.order.requestId);
      const isClosed = closed.has(input.order.requestId);
      if (existing && !(isClosed && kind === 'first-under-a-used-id')) {
        const { fingerprint, orderId } = existing.order;
        return { kind: 'exists', fingerprint, orderId, isClosed };
      }
      closed.delete(input.order.requestId);
      workflows.set(input.order.requestId, input);
      return { kind: 'started', isEager: false };
    },
    countOpen: () => Promise.resolve(workflows.size),
  };
  return { starter, workflows, closed, state, errors };
}

/** The handler of order records over fakes, and what it did. */
export function createTestIngest(overrides: Partial<StartOrdersDeps> = {}) {
  const temporal = createFakeStarter();
  const letters: DeadLetter[] = [];
  const givenBack: string[] = [];
  const published: string[] = [];
  const awaiting = new Set<OrderId | undefined>();
  const outcomes: RecordOutcome[] = [];
  const claims: string[] = [];
  const handler = createStartOrders({
    starter: temporal.starter,
    openOrders: { enter: () => true, leave: () => undefined },
    claims: {
      keep: ({ requestId, itemId, fingerprint }) => {
        claims.push([requestId, itemId, fingerprint].join(' '));
      },
    },
    deadLetters: {
      write: (letter) => {
        letters.push(letter);
        return Promise.resolve();
      },
    },
    refused: {
      tell: ({ requestId }) => {
        published.push(requestId);
        return Promise.resolve();
      },
    },
    ledger: {
      awaitsRun: ({ orderId }) => Promise.resolve(awaiting.has(orderId)),
      abandon: ({ requestId, itemId, fingerprint, reason }) => {
        givenBack.push([requestId, itemId, fingerprint, reason].join(' '));
        return Promise.resolve();
      },
    },
    onOutcome: (outcome) => outcomes.push(outcome),
    logger: pino({ level: 'silent' }),
    ...overrides,
  });
  return {
    temporal,
    letters,
    givenBack,
    /** Orders of which other systems were told. */
    published,
    /** Orders that the ledger has queued. */
    awaiting,
    claims,
    outcomes,
    handler,
    /** Hands over one record after the other, as if they had one key. */
    handle: async (...records: LogRecord[]): Promise<void> => {
      for (const record of records) await handler.handle(record);
    },
  };
}

let nextOffset = 0;

/** A record of partition 2, at the next offset. */
export function recordOf(value: Buffer | null): LogRecord {
  const offset = String(nextOffset++);
  return { topic: 'orders', partition: 2, offset, key: null, value, headers: {} };
}

export const orderRecord = (order: Order): LogRecord => recordOf(encodeOrder(order));
