import { randomBytes } from 'node:crypto';
import {
  createDeadLetterReader,
  type DeadLetterReader,
} from '../../engine/dead-letters/dead-letter-log';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { ItemId } from '../../engine/orders/order';
import type { KafkaAccess, RedisAccess } from '../../platform/config/access';
import { entriesOf } from '../../engine/stock/stored-entry';
import { freeUnitsKey } from '../../engine/stock/keys';
import { createGateway, type Gateway } from '../gateway/gateway';
import { withRedis } from '../wiring/redis-connection';
import type { StackAddresses } from '../wiring/stack-addresses';
import { readChargeRows, type ChargeRow } from './charge-rows';

/** The running engine as a scenario sees it: its public doors, and its books for reading. */
export interface Scene {
  /** The buyers' door. */
  readonly gateway: Gateway;
  /** The same door over a connection of its own: a look must not queue behind a thousand purchases. */
  readonly watcher: Gateway;
  /** Puts units on sale under an id that was never used. */
  readonly putOnSale: (units: number) => Promise<ItemId>;
  /** Every order the ledger knows of an item, by request_id. */
  readonly entries: (itemId: ItemId) => Promise<ReadonlyMap<string, LedgerEntry>>;
  /** Every payment key the provider has seen. */
  readonly charges: () => Promise<readonly ChargeRow[]>;
  readonly deadLetters: DeadLetterReader;
  readonly bounds: Bounds;
}

/** How long to wait, in ms, for what should have happened long before. */
export interface Bounds {
  /** For orders to reach their outcome. A payment in doubt alone may take two minutes. */
  readonly restMsMax: number;
  /** For a request that is told to come back. */
  readonly answerMsMax: number;
  readonly pollMs: number;
}

export const BOUNDS: Bounds = { restMsMax: 240_000, answerMsMax: 60_000, pollMs: 200 };

export interface SceneOptions {
  readonly redis: RedisAccess | string;
  readonly kafka: KafkaAccess | readonly string[];
  readonly deadLetterTopic: string;
  readonly bounds: Bounds;
}

/** Runs `use` on the stack at these addresses, and closes every connection. Throws a UserError when it cannot be reached. */
export async function withScene<T>(
  addresses: Pick<StackAddresses, 'gateway' | 'payments'>,
  { redis: redisAccess, kafka, deadLetterTopic, bounds }: SceneOptions,
  use: (scene: Scene) => Promise<T>,
): Promise<T> {
  const gateway = createGateway(addresses.gateway);
  const watcher = createGateway(addresses.gateway, { socketsMax: 1 });
  const run = randomBytes(4).toString('hex');
  let items = 0;
  try {
    // Any answer will do: a gateway that is away is one sentence, not three missed scenarios.
    await watcher.item(`scenario-${run}`);
    return await withRedis(redisAccess, (redis) =>
      use({
        gateway,
        watcher,
        putOnSale: async (units) => {
          items += 1;
          // A literal that is plainly an id needs no parser.
          const itemId = `scenario-${run}-${items}` as ItemId;
          await redis.set(freeUnitsKey(itemId), units);
          return itemId;
        },
        entries: (itemId) => entriesOf(redis, itemId),
        charges: () => readChargeRows(addresses.payments),
        deadLetters: createDeadLetterReader(kafka, deadLetterTopic),
        bounds,
      }),
    );
  } finally {
    gateway.close();
    watcher.close();
  }
}
