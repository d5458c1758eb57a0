import type { RequestListener } from 'node:http';
import { BlockList } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Archive } from '../engine/archive/archive';
import type { ItemId, Price } from '../engine/orders/order';
import type { Admission } from '../engine/stock/admission';
import type { ClaimOrder } from '../engine/stock/claims';
import type { LedgerOpener } from '../engine/stock/ledger-opener';
import type { SellingWatch } from '../engine/stock/selling-switch';
import type { StockLedger } from '../engine/stock/stock-ledger';
import type { joinCluster } from '../platform/cluster';
import type { Logger } from '../platform/logger';
import type { RedisMemory } from '../platform/redis-memory';
import type { JwtSettings } from '../platform/config/buyer-auth';
import { createApp } from './app';
import { createBuyerAuth } from './buyers/buyer-auth';
import { createBuy, type OrderPublisher } from './buy/buy';
import { createSoldOutCache, SOLD_OUT_MS } from './buy/sold-out-cache';
import { createClusterStatus, createHealth, type Probe } from './health';
import type { ActOnHint } from '../engine/payments/payment-hints';
import type { CheckoutProvider, PaymentEvents } from '../engine/payments/payment-provider';
import { createBodyReader } from './http/body-reader';
import { logAccess } from './http/access-log';
import { createClients } from './http/clients';
import { createErrorLog } from './http/errors';
import { createInFlight, createRateLimit, type RateLimitOptions } from './http/limits';
import { adoptRequestId } from './http/request-id';
import { shedLoad } from './http/shed-load';
import { createMetrics } from './metrics';
import { createCancelOrder, type CancelWorkflow } from './routes/cancel-order';
import { docsRoutes } from './routes/docs';
import { itemRoute } from './routes/items';
import { orderListRoute, type OrderListArchive } from './routes/order-list';
import { DEAD_LETTER_ROUTES } from './routes/operator/dead-letters';
import { createOperatorRoutes, type OperatorClients } from './routes/operator/access';
import type { TraceTarget } from './routes/operator/operator';
import { SEARCH_ROUTES } from './routes/operator/order-search';
import { REPORT_ROUTES } from './routes/operator/report';
import { ORDER_ROUTES } from './routes/operator/orders';
import { REFUND_ROUTES } from './routes/operator/refunds';
import { SELLING_ROUTES } from './routes/operator/selling';
import { STOCK_ROUTES } from './routes/operator/stock';
import { USER_ROUTES } from './routes/operator/users';
import { createOrderEvents, type OrderEventsOptions } from './routes/order-events';
import { orderListLink } from './routes/order-view';
import { createOrderLookup, type FindItem } from './routes/order-lookup';
import { createReadPayment } from './routes/order-payment';
import { paymentWebhookRoute, WEBHOOK_BYTES_MAX } from './routes/payment-webhooks';
import { buyRoute, cancelOrderRoute, createFindOrder, readOrderRoute } from './routes/orders';
import { behindTokens, type Route } from './routes/route';
import { metricsRoute, systemRoutes } from './routes/system';

/**
 * At 5,000 purchases a second this is 0.1 s of work, and a broker that takes 50 ms to acknowledge still lets 10,000 a second
 * through. A purchase above the bound would wait longer and slow down the others; it is better refused at once and tried
 * again a second later.
 */
const BUYS_IN_FLIGHT_MAX = 512;

/** Longer than the append deadline and two Redis commands: purchases in hand at a shutdown get their response. */
const DRAIN_MS_MAX = 8_000;

/**
 * A client may be sending on an open connection while we decide to close it, and would get no response. So for this long
 * every request is still responded to, with `connection: close`; connections that are idle after that are cut.
 */
const LINGER_MS = 500;

/** Bodies of webhooks at once: 8 MB at most. */
const WEBHOOKS_MAX = 16;

/** For acknowledgements that come after the response to their purchase; the producer's own drain is bounded as well. */
const LATE_ORDERS_MS_MAX = 3_000;

export interface GatewayParts {
  readonly admission: Admission;
  /** Opens the ledgers of new items, and knows those that are lost. */
  readonly ledgers: LedgerOpener;
  readonly ledger: Pick<StockLedger, 'findOrder' | 'hasLeft' | 'item' | 'cancel'>;
  readonly publisher: OrderPublisher;
  /** Absent, in tests: an order that is reserved already cannot be cancelled. */
  readonly cancelWorkflow?: CancelWorkflow | undefined;
  /** Finds the item of an order that has no claim. Absent, in tests: such an order is not found. */
  readonly findItem?: FindItem | undefined;
  /** Whether an item is retired. Absent: none is. */
  readonly isRetired?: ((itemId: ItemId) => Promise<boolean>) | undefined;
  /** Writes the claim of an accepted order that has none; a claim of another request stays. */
  readonly claim?: ClaimOrder | undefined;
  /** The orders of record, for buyers. Absent: there is no archive. */
  readonly archive?:
    | (OrderListArchive & {
        readonly orders: Pick<Archive, 'newestOrder' | 'eventsOf' | 'returnsOf'>;
      })
    | undefined;
  /** Absent, in tests: no buyer can pay, and no webhook is received. */
  readonly payments?:
    | {
        readonly provider: Pick<CheckoutProvider, 'checkout'> & Pick<PaymentEvents, 'readWebhook'>;
        readonly act: ActOnHint;
      }
    | undefined;
  /** The log to which cancellations are written. */
  readonly cancellations: OrderPublisher;
  readonly probes: Readonly<Record<string, Probe>>;
  /** Absent, in tests: there is always room. */
  readonly redisMemory?: Pick<RedisMemory, 'isNearlyFull' | 'warnings'> | undefined;
  /** Whether anything is sold at all. Absent, in tests: it is. */
  readonly selling?: SellingWatch['standing'] | undefined;
  /** More sentences for the warnings of /readyz. */
  readonly warnings?: (() => readonly string[]) | undefined;
  readonly defaultPrice: Price;
  /** Absent: no trace links. */
  readonly trace?: TraceTarget | undefined;
  /** Absent: no limit. */
  readonly rateLimit?: RateLimitOptions | undefined;
  /** Absent: no X-Forwarded-For and no X-Request-Id is believed. */
  readonly trustedProxies?: BlockList | undefined;
  /** Absent: the types of problems are relative. */
  readonly publicUrl?: string | undefined;
  /** Whether each request is logged. */
  readonly accessLog?: boolean;
  /** How tokens of buyers are checked. Absent: every user_id is believed. */
  readonly jwt?: JwtSettings | undefined;
  /** What every user_id must match. Absent: whatever is an id. */
  readonly userIdPattern?: RegExp | undefined;
  /** Called with each purchase that gets a problem instead of an order. Absent: nobody counts them. */
  readonly onRefused?: ((itemId: ItemId, problem: string | undefined) => void) | undefined;
  /** Absent: the operators' routes respond that they are disabled. */
  readonly operator?: OperatorClients | undefined;
  /** Absent: /readyz and /metrics report this process alone. */
  readonly joinCluster?: typeof joinCluster | undefined;
  readonly logger: Logger;
  /** Bounds and times, for tests. */
  readonly limits?: {
    readonly buysInFlightMax?: number;
    readonly bodyDeadlineMs?: number;
    readonly bodiesMax?: number;
    readonly appendDeadlineMs?: number;
    readonly holdLeaseMs?: number;
    readonly lingerMs?: number;
    readonly cancelWaitMs?: number;
    readonly soldOutMs?: number;
    readonly events?: OrderEventsOptions;
  };
}

export type Gateway = ReturnType<typeof createGateway>;

/** Builds the gateway from connected clients, which the caller closes. */
// eslint-disable-next-line max-lines-per-function -- a list of parts
export function createGateway(parts: GatewayParts) {
  const { ledger, logger, defaultPrice, userIdPattern, limits = {} } = parts;
  const hasTokens = parts.jwt !== undefined;
  let closing = false;
  const isClosing = () => closing;

  const inFlight = createInFlight(limits.buysInFlightMax ?? BUYS_IN_FLIGHT_MAX);
  const own = {
    health: createHealth(parts.probes, isClosing, () => [
      ...(parts.redisMemory?.warnings() ?? []),
      ...(parts.warnings?.() ?? []),
    ]),
    metrics: createMetrics(inFlight.count),
  };
  const { health, metrics } = parts.joinCluster ? createClusterStatus(parts.joinCluster, own) : own;
  const selling = parts.selling ?? (() => 'selling');
  const errors = createErrorLog(logger, metrics.countError);
  const authLog = {
    report: errors.report,
    reportTurnedAway: createErrorLog(logger, metrics.countTurnedAway).report,
  };
  const reportPressure = createErrorLog(logger, metrics.countPressure).report;
  const clients = createClients(parts.trustedProxies ?? new BlockList());
  const readBody = createBodyReader(reportPressure, limits.bodyDeadlineMs, limits.bodiesMax);
  const lookUp = createOrderLookup({
    ledger,
    findItem: parts.findItem,
    isRetired: parts.isRetired,
    claim: parts.claim,
    archive: parts.archive?.orders,
    errors,
  });
  const buy = createBuy({
    admission: parts.admission,
    ledgers: parts.ledgers,
    lookUp,
    publisher: parts.publisher,
    inFlight,
    isClosing,
    selling,
    isRedisNearlyFull: parts.redisMemory?.isNearlyFull ?? (() => false),
    errors,
    readBody,
    onBatch: metrics.countBatch,
    rateLimit: parts.rateLimit && createRateLimit(parts.rateLimit),
    clients,
    userIdPattern: parts.jwt ? undefined : userIdPattern,
    onRefused: parts.onRefused ?? (() => undefined),
    linkToOrders:
      parts.archive &&
      (({ itemId, userId }) => orderListLink(itemId, hasTokens ? undefined : userId)),
    soldOutCache: createSoldOutCache(limits.soldOutMs ?? SOLD_OUT_MS),
    appendDeadlineMs: limits.appendDeadlineMs,
    holdLeaseMs: limits.holdLeaseMs,
  });
  const findOrder = createFindOrder(lookUp);
  const { payments } = parts;
  const readPayment = payments && createReadPayment({ ...payments, errors });
  const events = createOrderEvents(
    { findOrder, errors, clients, report: reportPressure },
    limits.events,
  );
  const cancelOrder = createCancelOrder({
    ledger,
    lookUp,
    isClosing,
    cancelWorkflow: parts.cancelWorkflow,
    cancellations: parts.cancellations,
    waitMsMax: limits.cancelWaitMs,
    appendDeadlineMs: limits.appendDeadlineMs,
  });
  const operatorRoutes = createOperatorRoutes(
    [
      ...SELLING_ROUTES,
      ...STOCK_ROUTES,
      ...REPORT_ROUTES,
      ...SEARCH_ROUTES,
      ...USER_ROUTES,
      ...ORDER_ROUTES,
      ...REFUND_ROUTES,
      ...DEAD_LETTER_ROUTES,
    ],
    parts.operator,
    { ledger, findOrder, lookUp, trace: parts.trace, defaultPrice, readBody, errors: authLog },
  );
  const buyerRoutes = [
    buyRoute(buy, metrics, { hasTokens }),
    orderListRoute(parts.archive, { hasTokens, errors }),
    readOrderRoute(createFindOrder(lookUp, readPayment)),
    cancelOrderRoute(cancelOrder, { hasTokens }),
    events.route,
  ];
  const { publicUrl } = parts;
  const system = systemRoutes(health);
  // In the order in which the API references show them.
  const forBuyers = [
    ...(parts.jwt
      ? behindTokens(buyerRoutes, createBuyerAuth(parts.jwt, authLog, userIdPattern))
      : buyerRoutes),
    itemRoute(ledger, defaultPrice, selling),
    ...(payments
      ? [
          paymentWebhookRoute({
            events: payments.provider,
            act: payments.act,
            readBody: createBodyReader(reportPressure, undefined, WEBHOOKS_MAX, WEBHOOK_BYTES_MAX),
            onHint: metrics.countHint,
          }),
        ]
      : []),
    ...system,
  ];
  const forOperators = [...operatorRoutes, ...system, metricsRoute(metrics)];
  const routes = {
    public: [...forBuyers, ...docsRoutes(forBuyers, { audience: 'buyers', publicUrl })],
    admin: [...forOperators, ...docsRoutes(forOperators, { audience: 'operators', publicUrl })],
  };
  const serve = (served: readonly Route[]): RequestListener => {
    const app = createApp({ routes: served, errors, logger, isClosing, publicUrl }).callback();
    return (req, res) => void app(req, res);
  };
  const shedding = shedLoad(
    serve(routes.public),
    () => !closing && inFlight.isFull(),
    (response) => {
      metrics.countBuy(response, 0);
    },
    publicUrl,
  );
  const outermost = (inner: RequestListener): RequestListener => {
    const logging = parts.accessLog ? logAccess(inner, clients, logger) : inner;
    return (req, res) => {
      if (req.headers['x-request-id'] !== undefined) adoptRequestId(req, clients);
      logging(req, res);
    };
  };

  return {
    /** Of each listener, for the tests of the API references. */
    routes,
    /** For the servers of both listeners. */
    server: { report: reportPressure, isProxy: clients.isProxy, publicUrl },
    /** Serves buyers. */
    listener: outermost(shedding),
    /** Serves operators, metrics and probes, on a server of its own: whatever the public one suffers, it answers. */
    adminListener: outermost(serve(routes.admin)),
    /**
     * From now on the gateway is not ready, refuses purchases, and ends each connection with its next response. Resolves
     * once the purchases in hand have their response, or after a bound. The caller closes the listening socket afterwards.
     */
    drain: async () => {
      closing = true;
      events.closeAll();
      await sleep(limits.lingerMs ?? LINGER_MS);
      const drained = await inFlight.whenEmpty(DRAIN_MS_MAX);
      if (!drained) logger.error({ buys: inFlight.count() }, 'closing with purchases in hand');
    },
    /** Resolves once acknowledgements that came after their response are dealt with, or after a bound. */
    finishLateOrders: async () => {
      const finished = await buy.whenPublished(LATE_ORDERS_MS_MAX);
      if (!finished) logger.error('closing with orders that Kafka has not acknowledged');
    },
  };
}
