import type { RequestListener } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Price } from '../engine/orders/order';
import type { joinCopies } from '../platform/copies/copy';
import type { Logger } from '../platform/logger';
import type { LedgerOpener } from '../engine/stock/registry/ledger-opener';
import type { Admission } from '../engine/stock/admission';
import type { StockLedger } from '../engine/stock/stock-ledger';
import { createApp } from './app';
import { createBuy } from './buy/buy';
import { createInFlight } from './buy/in-flight';
import type { OrderAppender } from './buy/place-order';
import { createRateLimit, type RateLimitOptions } from './buy/rate-limit';
import { createSoldOutMemory, SOLD_OUT_MS } from './buy/admission/sold-out-cache';
import { createCancelOrder } from './cancel/cancel-order';
import type { CancelWorkflow } from './cancel/cancel-workflow';
import { createDocs } from './docs/docs';
import { createFaultLog } from './errors/error-log';
import { createHealth, type Probe } from './health/health';
import type { HttpResponse } from './http/response';
import { createBodyReader } from './http/body-reader';
import { turnAway } from './http/turn-away';
import { createItems } from './items';
import { createMetrics } from './health/metrics';
import { createOperator, type OperatorDeps } from './operator/operator';
import { createOrderEvents, type OrderEventsOptions } from './orders/order-events';
import { createOrderView, type TraceTarget } from './orders/order-view';
import { createOrders } from './orders/orders';
import { speakForAll } from './health/speak-for-all';

/**
 * At 5,000 purchases a second this is 0.1 s of work, and a broker that takes 50 ms to acknowledge still lets 10,000 a second
 * through. Who comes later would wait for an answer that is better given at once, by a gateway that has room or by this one
 * a second later; and each who waits makes all of them wait longer.
 */
const BUYS_IN_FLIGHT_MAX = 512;

/** Longer than the append deadline and two Redis commands: what is in hand at the start of a shutdown gets its answer. */
const DRAIN_MS_MAX = 8_000;

/**
 * A client that re-uses a connection may be sending while we decide to close it, and would be told nothing. So for this
 * long everybody is still answered, with the news that the connection ends; who is idle after that is cut.
 */
const LINGER_MS = 500;

/** An acknowledgement that comes after the door has closed; the producer's own drain is bounded as well. */
const LATE_ORDERS_MS_MAX = 3_000;

export interface GatewayDeps {
  readonly admission: Admission;
  /** Opens the ledgers of items that are new, and knows those that are lost. */
  readonly ledgers: LedgerOpener;
  readonly ledger: Pick<StockLedger, 'findOrder' | 'item' | 'cancel'>;
  readonly appender: OrderAppender;
  /** Absent, in tests: an order that is reserved already cannot be cancelled. */
  readonly cancelWorkflow?: CancelWorkflow | undefined;
  readonly probes: Readonly<Record<string, Probe>>;
  readonly defaultPrice: Price;
  /** Absent: no trace links. */
  readonly trace?: TraceTarget;
  /** Absent: no limit. */
  readonly rateLimit?: RateLimitOptions;
  /** Absent: the operators' routes say that they are disabled. */
  readonly operator?: OperatorDeps;
  /** Absent: this process has the port for itself, and /readyz and /metrics speak of it alone. */
  readonly joinSiblings?: typeof joinCopies;
  readonly logger: Logger;
  /** Bounds and times, for tests. */
  readonly limits?: {
    readonly buysInFlightMax?: number;
    readonly bodyDeadlineMs?: number;
    readonly appendDeadlineMs?: number;
    readonly lingerMs?: number;
    readonly cancelWaitMs?: number;
    /** How old an answer from the memory of what is sold out may be. */
    readonly soldOutMs?: number;
    readonly events?: OrderEventsOptions;
  };
}

export interface Gateway {
  readonly listener: RequestListener;
  /**
   * From now on not ready, and every answer ends its connection. Resolves after a moment for requests that are on their way,
   * once the purchases in hand are answered, new ones being refused meanwhile, or after a bound. The listening socket is the caller's to close, afterwards.
   */
  readonly drain: () => Promise<void>;
  /** Resolves once acknowledgements that came after their answer are dealt with, or after a bound. */
  readonly settleLateOrders: () => Promise<void>;
}

/** Puts the parts of the gateway together; its clients come in as arguments and stay the caller's to close. */
export function createGateway(deps: GatewayDeps): Gateway {
  const { admission, ledgers, ledger, appender, logger, limits = {} } = deps;
  let closing = false;
  const isClosing = () => closing;

  const inFlight = createInFlight(limits.buysInFlightMax ?? BUYS_IN_FLIGHT_MAX);
  const ownMetrics = createMetrics(inFlight.count);
  const ownHealth = createHealth(deps.probes, isClosing);
  const { health, metrics } = deps.joinSiblings
    ? speakForAll(deps.joinSiblings, { health: ownHealth, metrics: ownMetrics })
    : { health: ownHealth, metrics: ownMetrics };
  const faults = createFaultLog(logger, metrics.fault);
  const view = createOrderView(deps.trace);
  const readBody = createBodyReader(limits.bodyDeadlineMs);
  const buy = createBuy({
    ...{ admission, ledgers, appender, inFlight, isClosing, view, faults },
    readBody,
    onBatch: metrics.admissionBatch,
    ...(deps.rateLimit && { rateLimit: createRateLimit(deps.rateLimit) }),
    soldOut: createSoldOutMemory({ keepMs: limits.soldOutMs ?? SOLD_OUT_MS }),
    ...(limits.appendDeadlineMs !== undefined && { appendDeadlineMs: limits.appendDeadlineMs }),
  });
  const orders = createOrders(ledger, view);
  const cancelOrder = createCancelOrder({
    ...{ ledger, view, isClosing, cancelWorkflow: deps.cancelWorkflow },
    waitMsMax: limits.cancelWaitMs,
  });
  const events = createOrderEvents(orders, faults, limits.events);
  const items = createItems(ledger, deps.defaultPrice);
  const docs = createDocs();
  const { operator: operatorDeps, defaultPrice } = deps;
  const operator = createOperator({
    ...{ operator: operatorDeps, ledger, defaultPrice, readBody, faults },
  });
  const app = createApp({
    ...{ buy, orders, cancelOrder, events, items, health, metrics, docs, operator },
    ...{ faults, logger, isClosing },
  });
  const listener = app.callback();
  const turnedAway = (answer: HttpResponse) => {
    metrics.buyAnswered(answer, 0);
  };

  return {
    listener: turnAway((request, response) => void listener(request, response), {
      isFull: () => !closing && inFlight.isFull(),
      onTurnedAway: turnedAway,
    }),
    drain: async () => {
      closing = true;
      events.closeAll();
      await sleep(limits.lingerMs ?? LINGER_MS);
      const drained = await inFlight.whenEmpty(DRAIN_MS_MAX);
      if (!drained) logger.error({ buys: inFlight.count() }, 'closing with purchases unanswered');
    },
    settleLateOrders: async () => {
      const settled = await buy.whenSettled(LATE_ORDERS_MS_MAX);
      if (!settled) logger.error('closing with orders whose acknowledgement has not come');
    },
  };
}
