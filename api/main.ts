import { randomUUID } from 'node:crypto';
import cluster from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { collectDefaultMetrics } from 'prom-client';
import { createArchive, readSoldOrders, type Archive } from '../engine/archive/archive';
import { openArchive, type ArchiveDatabase } from '../engine/archive/database';
import { writeRefusals } from '../engine/archive/refusals';
import { createRefusalSums } from './buy/refusal-sums';
import {
  createDeadLetterClients,
  withPublisher,
  type DeadLetterAccess,
} from '../engine/dead-letters/dead-letter-log';
import { unavailable } from '../engine/dead-letters/operator';
import { createKafka, createProducer } from '../engine/kafka/kafka-client';
import { createOpeningProducer, createSafeProducer } from '../engine/kafka/safe-producer';
import { logEnds } from '../engine/kafka/read-log';
import { checkTopic, partitionCount } from '../engine/kafka/topics';
import { createActionLog, readRecordedSelling, reportToLog } from '../engine/operators/action-log';
import { watchCredentials } from '../engine/operators/credential-file';
import { sharedCredential } from '../engine/operators/credentials';
import { openPaymentProvider } from '../engine/payments/open-provider';
import { createHintedRuns, createPaymentHints } from '../engine/payments/payment-hints';
import {
  createLedgerOpener,
  createLedgerOpening,
  createOpeningLedger,
  type LedgerOpener,
} from '../engine/stock/ledger-opener';
import { createLedgerRegistry, type LedgerRegistry } from '../engine/stock/ledger-registry';
import { createRefundStarter, type RefundStarter } from '../engine/payments/start-refund';
import { createAdmission } from '../engine/stock/admission';
import { createClaimOrder } from '../engine/stock/claims';
import { createSellingSwitch, watchSelling } from '../engine/stock/selling-switch';
import { createStockOperations } from '../engine/stock/stock-operations';
import { createStockLedger, type StockLedger } from '../engine/stock/stock-ledger';
import { joinCluster, startCluster } from '../platform/cluster';
import { loadApiConfig, type ApiConfig } from '../platform/config';
import { createFailpoints, type Failpoints } from '../platform/failpoints';
import { createLifecycle, runProcess, type Lifecycle } from '../platform/lifecycle';
import { createLogger, createRepeatFilter, type Logger } from '../platform/logger';
import { openFilesMax } from '../platform/machine';
import { closeDatabasePool, createDatabasePool, pingDatabase } from '../platform/postgres';
import {
  closeRedis,
  connectFailFastRedis,
  pingRedis,
  watchRedisDurability,
} from '../platform/redis';
import { watchRedisMemory } from '../platform/redis-memory';
import { createLazyTemporalClient } from '../platform/temporal-client';
import { lookEvery } from '../platform/until';
import { describeError } from '../platform/user-error';
import { createWaiting, type Waiting } from '../platform/waiting';
import * as calls from './failpoints';
import { createGateway, type Gateway, type GatewayParts } from './gateway';
import { createKafkaProbe, onceAtATime } from './health';
import { closeHttpServer, createHttpServer, listen } from './http/server';
import { createCancelWorkflow, type CancelWorkflow } from './routes/cancel-order';
import { createFindItem } from './routes/order-lookup';

/** After the drain of the gateway; with it and the late orders it stays below an orchestrator's patience of 30 s. */
const PRODUCER_DRAIN_MS = 4_000;
const CONNECTIONS_GRACE_MS = 1_000;

/**
 * A gateway that is about to reach Redis and Kafka leaves buyers to the other ones; without them it opens all the same. Also
 * the time in which a wrong setting is found before it is open.
 */
const CONNECT_PATIENCE_MS = 5_000;

/** A tenth of what the command line reads, because this process also handles purchases. A letter takes about 1 KB. */
const OPERATOR_RECORDS_MAX = 10_000;
const createLetterClients = (access: DeadLetterAccess) =>
  createDeadLetterClients(access, OPERATOR_RECORDS_MAX);

/** With API_PROCESSES above 1 the primary runs workers of this same file; each worker is a whole gateway. */
async function main() {
  const config = loadApiConfig(process.env);
  const logger = createLogger('api', config.logLevel);
  if (config.processes > 1 && cluster.isPrimary) {
    const { onShutdown, fail } = createLifecycle(logger);
    onShutdown('workers', startCluster(config.processes, config.port, logger, fail).stop);
  } else {
    await runGateway(config, logger);
  }
}

async function runGateway(config: ApiConfig, logger: Logger) {
  const { onShutdown, fail, stopping } = createLifecycle(logger, {
    terminal: cluster.isWorker ? 'leave-to-parent' : 'obey',
  });
  const waiting = createWaiting(logger, stopping);
  const failpoints = createFailpoints('api', config.failpoints);
  collectDefaultMetrics();

  const redis = connectFailFastRedis(config.redis, logger);
  onShutdown('redis', () => closeRedis(redis));
  // Purchases have a connection to themselves: see createAdmission.
  const admissionRedis = connectFailFastRedis(config.redis, logger);
  onShutdown('redis of purchases', () => closeRedis(admissionRedis));
  watchRedisDurability(redis, { production: config.production, logger, refuse: fail });
  const redisMemory = watchRedisMemory(redis, logger);
  onShutdown('the watch of the memory of redis', redisMemory.stop);

  const sellingSwitch = createSellingSwitch(redis);
  // Without a log: who reads by it reports what it cannot read, once.
  const quietKafka = createKafka('flash-sale-api', config.kafka);
  const selling = await watchSelling(
    sellingSwitch,
    (since, onProgress) =>
      readRecordedSelling(quietKafka, config.operatorActionsTopic, since, onProgress),
    logger,
  );
  onShutdown('the watch of the switch of selling', selling.stop);

  // A purchase calls Temporal only for an item whose ledger is not open yet.
  const temporal = createLazyTemporalClient(config.temporal);
  onShutdown('temporal', temporal.close);
  const registry = createLedgerRegistry(temporal.client, config.taskQueue);

  const archive = connectArchive(config, logger, onShutdown);
  const kafka = connectKafka(config, { waiting, failpoints, logger });
  const kafkaTakesOrders = kafka.whenOpen.then(selling.limitRecord);
  const redisAnswers = waiting.waitFor('redis', () => pingRedis(redis));
  const connecting = Promise.all([redisAnswers, kafkaTakesOrders, selling.whenKnown]);
  await Promise.race([connecting, sleep(CONNECT_PATIENCE_MS, undefined, { ref: false })]);
  connecting.catch(fail);

  const operators = await watchOperators(config.operator, logger);
  onShutdown("the watch of the operators' file", operators.stop);

  const defaultPrice = { priceMinor: config.defaultPriceMinor, currency: config.defaultCurrency };
  const { claimTtlMs, orderRetentionMs } = config;
  const admission = createAdmission(admissionRedis, { claimTtlMs, orderRetentionMs, defaultPrice });
  const claim = createClaimOrder(redis, orderRetentionMs);
  const ledger = createStockLedger(redis);
  const ledgers = createLedgerOpener(createLedgerOpening(redis), registry);
  const ofMoney = { ledger, ledgers, registry, temporal, archive, failpoints };
  const { payments, refunds } = openPayments(config, ofMoney);
  const gateway = createGateway({
    admission: failpoints.around(admission, calls.ADMISSION_CALLS),
    ledgers,
    ledger: failpoints.around(ledger, calls.LEDGER_CALLS),
    payments,
    publisher: failpoints.around(kafka.orders, calls.PUBLISHER_CALLS),
    cancelWorkflow: aroundCancel(failpoints, createCancelWorkflow(temporal.client)),
    findItem: createFindItem(temporal.client),
    isRetired: registry.isRetired,
    claim,
    onRefused: archive?.countRefused,
    archive: archive && {
      orders: archive.forBuyers,
      ordersTopic: config.ordersTopic,
      logEnds: (msMax) => logEnds(quietKafka, config.ordersTopic, msMax),
    },
    cancellations: failpoints.around(kafka.cancellations, calls.CANCELLATIONS_CALLS),
    probes: {
      redis: () => admissionRedis.ping().then(() => true),
      kafka: kafka.probe,
      ...(archive && { postgres: archive.probe }),
    },
    redisMemory,
    selling: selling.standing,
    warnings: () => [...selling.warnings(), ...operators.warnings()],
    defaultPrice,
    trace: traceTarget(config),
    rateLimit: config.rateLimit,
    trustedProxies: config.trustedProxies,
    publicUrl: config.publicUrl,
    accessLog: config.accessLog,
    jwt: config.jwt,
    userIdPattern: config.userIdPattern,
    operator: config.operator && {
      credentials: operators.credentials,
      operations: createStockOperations(redis, { soldOrders: archive?.soldOrders }),
      selling: { ...sellingSwitch, ...selling },
      actions: createActionLog({
        withPublisher: (use) => withPublisher(config.kafka, config.operatorActionsTopic, use),
        now: Date.now,
        report: reportToLog(logger),
      }),
      archive: archive?.forOperators,
      refunds,
      // Connections are opened for each request: purchases share none of them.
      letters: {
        ...createLetterClients({ ...config, ...config.operator, archive: archive?.ofOperators }),
        claim: (order) => claim(order).catch(unavailable('Redis gives no answer')),
      },
    },
    joinCluster: cluster.isWorker ? joinCluster : undefined,
    logger,
  });
  onShutdown('late orders', gateway.finishLateOrders);
  onShutdown('producers', kafka.close);

  const open = await openListeners(config, gateway, failpoints, onShutdown);
  logger.info({ ...open, buyers: config.jwt ? 'jwt' : 'trusted' }, 'the gateway is open');
}

function aroundCancel(failpoints: Failpoints<'api'>, cancel: CancelWorkflow): CancelWorkflow {
  return (requestId) => failpoints.between(calls.CANCEL_RUN_CALL, () => cancel(requestId));
}

function traceTarget({ temporalUiUrl, temporal }: ApiConfig): GatewayParts['trace'] {
  return temporalUiUrl ? { uiUrl: temporalUiUrl, namespace: temporal.namespace } : undefined;
}

/** The provider as buyers' pages and its webhooks need it. */
function openPayments(
  { payments, taskQueue }: ApiConfig,
  clients: {
    readonly ledger: StockLedger;
    readonly ledgers: LedgerOpener;
    readonly registry: LedgerRegistry;
    readonly temporal: { readonly client: Client };
    readonly archive: { readonly forBuyers: Pick<Archive, 'newestOrder'> } | undefined;
    readonly failpoints: Failpoints<'api'>;
  },
): { readonly payments: NonNullable<GatewayParts['payments']>; readonly refunds: RefundStarter } {
  const { ledger, ledgers, registry, archive, failpoints } = clients;
  const { client } = clients.temporal;
  const starter = createRefundStarter(client, taskQueue);
  const refunds = failpoints.around(starter, calls.REFUND_CALLS);
  const runs = createHintedRuns(client, taskQueue);
  const act = createPaymentHints({
    ledger: createOpeningLedger(ledger, ledgers, registry),
    runs: failpoints.around(runs, calls.HINTED_RUNS_CALLS),
    noteReturns: (sale) => refunds.noteReturns(sale),
    endOf: async ({ requestId, orderId }) => {
      const newest = await archive?.forBuyers.newestOrder(requestId);
      return newest?.orderId === orderId ? newest : undefined;
    },
  });
  const provider = failpoints.around(openPaymentProvider(payments), calls.PROVIDER_CALLS);
  return { payments: { provider, act }, refunds };
}

/** Opens the admin listener and then the public one, so that no buyer is let in by a gateway that cannot open both. */
async function openListeners(
  { host, port, adminPort }: ApiConfig,
  gateway: Gateway,
  failpoints: Failpoints<'api'>,
  onShutdown: Lifecycle['onShutdown'],
) {
  const files = { openFilesMax: openFilesMax() };
  const server = createHttpServer(
    calls.aroundAcceptances(failpoints, gateway.listener),
    gateway.server,
    files,
  );
  // Probes are answered only then: a gateway that is ready by them can be reached.
  const isOpen = new Promise<void>((resolve) => server.once('listening', resolve));
  const adminServer = createHttpServer((req, res) => {
    void isOpen.then(() => {
      gateway.adminListener(req, res);
    });
  }, gateway.server);
  // Closed after the public one: probes are answered until then.
  onShutdown('connections of operators', () => closeHttpServer(adminServer, CONNECTIONS_GRACE_MS));
  onShutdown('connections', () => closeHttpServer(server, CONNECTIONS_GRACE_MS));
  onShutdown('purchases in hand', gateway.drain);
  return {
    adminPort: await listen(adminServer, host, adminPort),
    port: await listen(server, host, port),
    connectionsMax: server.maxConnections,
  };
}

/** The log. Without it reads go on, and purchases and cancellations get 503. */
function connectKafka(
  config: ApiConfig,
  parts: {
    readonly waiting: Waiting;
    readonly failpoints: Failpoints<'api'>;
    readonly logger: Logger;
  },
) {
  const { waiting, failpoints, logger } = parts;
  const { production, ordersTopic, cancellationsTopic, operatorActionsTopic } = config;
  const kafka = createKafka('flash-sale-api', config.kafka, logger);
  const lookUp = () => partitionCount(kafka, ordersTopic);
  const answers = waiting.waitFor('kafka', lookUp);
  const check = (topic: string) => checkTopic(kafka, topic, { production, logger });
  const connectProducer = () => createProducer(createKafka('flash-sale-api', config.kafka, logger));
  const connect = async (topic: string) =>
    createSafeProducer({
      createProducer: () => failpoints.around(connectProducer(), calls.PRODUCER_CALLS),
      topic,
      partitions: await check(topic),
      // Two records of one request meet in the workflow id, not in the partition.
      partitioner: 'by-batch',
      logger,
    });
  const open = async (topic: string) => {
    await answers;
    return waiting.waitFor(`a producer of ${topic}`, () => connect(topic));
  };
  const orders = createOpeningProducer(open(ordersTopic));
  const cancellations = createOpeningProducer(open(cancellationsTopic));
  if (config.operator) {
    // Selling does not depend on it: without the topic, operators get 503.
    answers
      .then(() => check(operatorActionsTopic))
      .catch((error: unknown) => {
        logger.error({ err: error }, 'what operators do cannot be recorded safely');
      });
  }
  const { watched, probe } = createKafkaProbe(orders, lookUp);
  return {
    orders: watched,
    cancellations,
    /** Rejects when a producer must not be used. */
    whenOpen: Promise.all([orders.whenOpen, cancellations.whenOpen]),
    probe: () => orders.isOpen() && probe(),
    close: () => Promise.all([orders, cancellations].map((one) => one.close(PRODUCER_DRAIN_MS))),
  };
}

/** A buyer waits for each of these. */
const BUYERS_STATEMENT_MS_MAX = 1_500;

/** A search may read all orders of an item. Few of them at once: they take what the archiver needs to keep up. */
const OPERATORS_STATEMENT_MS_MAX = 10_000;
const OPERATORS_CONNECTIONS_MAX = 2;

/**
 * The archive, which is asked only for what Redis does not know. Nothing is connected until then, so a start does not need
 * it. Undefined where there is none. Operators have connections of their own: buyers wait for none of their searches.
 */
function connectArchive(
  { database, operator }: ApiConfig,
  logger: Logger,
  onShutdown: Lifecycle['onShutdown'],
) {
  if (!database) return undefined;
  const pool = createDatabasePool(database, {
    name: 'api',
    logger,
    statementMsMax: BUYERS_STATEMENT_MS_MAX,
  });
  onShutdown('postgres', () => closeDatabasePool(pool));
  const operatorsPool =
    operator &&
    createDatabasePool(database, {
      name: 'api for operators',
      logger,
      connectionsMax: OPERATORS_CONNECTIONS_MAX,
      statementMsMax: OPERATORS_STATEMENT_MS_MAX,
    });
  if (operatorsPool) onShutdown('postgres of operators', () => closeDatabasePool(operatorsPool));
  const archive = openArchive(pool);
  const refusals = writeRefusalSums(archive, logger);
  onShutdown('sums of refusals', refusals.stop);
  const ofOperators = operatorsPool && openArchive(operatorsPool);
  const forOperators = ofOperators && createArchive(ofOperators);
  return {
    forOperators,
    soldOrders: forOperators && readSoldOrders(forOperators),
    ofOperators,
    forBuyers: createArchive(archive),
    countRefused: refusals.count,
    probe: onceAtATime(() => pingDatabase(pool)),
  };
}

/** The archive has more to do, and a report may be seconds behind. */
const FLUSH_REFUSALS_MS = 5_000;

/** Counts refused purchases, and writes the sums of complete seconds. While the archive is away they wait, within a bound. */
function writeRefusalSums(archive: ArchiveDatabase, logger: Logger) {
  const sums = createRefusalSums();
  const gateway = randomUUID();
  const isNews = createRepeatFilter();
  let isLast = false;
  const flushes = lookEvery(FLUSH_REFUSALS_MS, async () => {
    try {
      await sums.flush((some) => writeRefusals(archive, gateway, some), { all: isLast });
    } catch (error) {
      const { givenUp } = sums;
      if (!isNews(`${describeError(error)} ${String(givenUp > 0)}`)) return;
      logger.warn({ err: error, givenUp }, 'sums of refused purchases wait for the archive');
    }
  });
  return {
    count: sums.count,
    stop: () => {
      isLast = true;
      flushes.stop();
      return flushes.refresh();
    },
  };
}

/** The credentials that are valid now: those in the file, and the one of OPERATOR_TOKEN. */
async function watchOperators(config: ApiConfig['operator'], logger: Logger) {
  const file = config?.file === undefined ? undefined : await watchCredentials(config.file, logger);
  const shared = config?.token ? [sharedCredential(config.token.reveal())] : [];
  return {
    credentials: () => [...shared, ...(file?.current() ?? [])],
    warnings: () => file?.warnings() ?? [],
    stop: () => file?.stop(),
  };
}

runProcess('api', main);
