import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { createChargeLookup } from '../../engine/reconciliation/audit-item';
import { createOrderRuns } from '../../engine/reconciliation/order-runs';
import type { ItemId, Order } from '../../engine/orders/order';
import { createKafka } from '../../engine/kafka/kafka-client';
import { isLogRead, readOrders } from '../../engine/kafka/read-log';
import { encodeOrder } from '../../engine/orders/order-record';
import type { KafkaAccess, TemporalAccess } from '../../platform/config/access';
import { createHttpPaymentProvider } from '../../engine/payments/http-provider';
import { createLedgerRegistry } from '../../engine/stock/registry/ledger-registry';
import { claimOrder } from '../../engine/stock/claims';
import { createStockLedger } from '../../engine/stock/redis-stock-ledger';
import { createLedgerOpening } from '../../engine/stock/upkeep/ledger-opening';
import { createLedgerMaintenance } from '../../engine/stock/upkeep/ledger-repair';
import { stockAudit } from '../commands/stock/audit';
import { stockOpen } from '../commands/stock/open';
import { stockRebuild } from '../commands/stock/rebuild';
import { withPublisher } from '../../engine/dead-letters/dead-letter-log';
import { operatorName } from '../arguments/operator-name';
import type { Terminal } from '../output/terminal';
import { withRedis } from './redis-connection';
import type { StackAccess } from './stack-access';
import type { LedgerCommands } from '../programs/ledger-program';
import type { CommonOptions } from '../usage';
import { UserError, describeError } from '../../platform/user-error';

const CONNECT_MS_MAX = 2_000;
const PAYMENT_MS_MAX = 8_000;

export interface LedgerWiring {
  readonly terminal: Terminal;
  readonly find: (options: CommonOptions) => StackAccess & { readonly payments: string };
  readonly names: {
    readonly taskQueue: string;
    readonly ordersTopic: string;
    readonly consumerGroup: string;
    readonly orderRetentionMs: number;
  };
}

/** The commands that keep the stock in order, on the real Redis, Kafka and Temporal. */
export function createLedgerCommands({ terminal, find, names }: LedgerWiring): LedgerCommands {
  const by = operatorName();
  const books = ({ redis, client, access }: Doors) => ({
    ...{ terminal, by },
    repair: createLedgerMaintenance(redis),
    opening: createLedgerOpening(redis),
    ledger: createStockLedger(redis),
    registry: createLedgerRegistry(client, names.taskQueue),
    runs: createOrderRuns(client, names.taskQueue),
    claim: (order: Parameters<typeof claimOrder>[1]) =>
      claimOrder(redis, order, names.orderRetentionMs),
    readOrders: (itemId: ItemId) =>
      explained(access.kafka, () => readOrders(kafkaOf(access), names.ordersTopic, itemId)),
    isLogRead: () =>
      explained(access.kafka, () =>
        isLogRead(kafkaOf(access), names.ordersTopic, names.consumerGroup),
      ),
    appendOrder: (order: Order) =>
      withPublisher(access.kafka, names.ordersTopic, (producer) =>
        producer.append({ key: order.requestId, value: encodeOrder(order) }),
      ),
    provider: createHttpPaymentProvider({
      baseUrl: access.payments,
      timeoutMs: PAYMENT_MS_MAX,
    }),
    wait: (ms: number) => sleep(ms),
  });
  /** Runs `use` with everything that keeps an item's books, and closes it. */
  const withBooks = async <T>(
    options: CommonOptions,
    use: (deps: ReturnType<typeof books>) => Promise<T>,
  ): Promise<T> => {
    const access = find(options);
    return withTemporal(access.temporal, (client) =>
      withRedis(access.redis, (redis) => use(books({ redis, client, access }))),
    );
  };
  return {
    stockRebuild: (options) => withBooks(options, (deps) => stockRebuild(deps, options)),
    stockOpen: (options) => withBooks(options, (deps) => stockOpen(deps, options)),
    stockAudit: (options) =>
      withBooks(options, async (deps) => {
        const { payments } = find(options);
        const lookUpCharges = await createChargeLookup(deps.provider, payments);
        return stockAudit({ ...deps, lookUpCharges }, options);
      }),
  };
}

interface Doors {
  readonly redis: Parameters<Parameters<typeof withRedis>[1]>[0];
  readonly client: Client;
  readonly access: StackAccess & { readonly payments: string };
}

const kafkaOf = ({ kafka }: StackAccess) => createKafka('flash-sale-cli', kafka);

async function explained<T>({ addrs }: KafkaAccess, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (cause) {
    throw new UserError(
      `Cannot read the log from Kafka at ${addrs.join(',')} (${describeError(cause)}): is the stack running? (npm start)`,
      { cause },
    );
  }
}

async function withTemporal<T>(
  { address, namespace, security }: TemporalAccess,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const connection = await Connection.connect({
    ...{ address, connectTimeout: CONNECT_MS_MAX },
    ...security?.reveal(),
  }).catch((cause: unknown) => {
    throw new UserError(
      `Temporal at ${address} gives no answer (${describeError(cause)}): is the stack running? (npm start)`,
      { cause },
    );
  });
  try {
    return await use(new Client({ connection, namespace }));
  } finally {
    await connection.close();
  }
}
