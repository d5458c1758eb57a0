import { randomBytes } from 'node:crypto';
import { buyUntilDefinite, type Purchase } from '../../client/buyer';
import { createGateway, type Gateway } from '../../client/gateway';
import {
  readCharges,
  readSnapshot,
  underWay,
  waitUntilIdle,
  type Charge,
  type ItemSnapshot,
} from '../../client/snapshot';
import {
  createDeadLetterReader,
  type DeadLetterReader,
} from '../../engine/dead-letters/dead-letter-log';
import type { ItemId } from '../../engine/orders/order';
import { freeUnitsKey } from '../../engine/stock/keys';
import type { KafkaAccess, RedisAccess } from '../../platform/config/access';
import { describeError, UserError } from '../../platform/user-error';
import { withRedis } from '../context';

/** The running engine as a scenario uses it: its gateway, and what is read to check it. */
export interface RunningEngine {
  readonly gateway: Gateway;
  /** The same gateway over one connection: a look at the stock must not queue behind a thousand purchases. */
  readonly watcher: Gateway;
  /** Puts units on sale under an id that was never used. */
  readonly putOnSale: (units: number) => Promise<ItemId>;
  readonly snapshot: (itemId: ItemId) => Promise<ItemSnapshot>;
  /** The provider's charges of an item's orders. */
  readonly charges: (itemId: ItemId) => Promise<readonly Charge[]>;
  readonly deadLetters: DeadLetterReader;
  readonly bounds: Bounds;
}

/** In ms; far more than a healthy engine needs. */
export interface Bounds {
  /** For orders to reach their outcome. A payment in doubt alone may take two minutes. */
  readonly idleMsMax: number;
  /** For a request that has to be sent again. */
  readonly answerMsMax: number;
  readonly pollMs: number;
}

const BOUNDS: Bounds = { idleMsMax: 240_000, answerMsMax: 60_000, pollMs: 200 };

/** Connects to the engine, runs `use` and closes every connection. Throws a UserError when the engine cannot be reached. */
export async function withRunningEngine<T>(
  addresses: { readonly gateway: string; readonly payments: string },
  access: { readonly redis: RedisAccess; readonly kafka: KafkaAccess },
  deadLetterTopic: string,
  use: (engine: RunningEngine) => Promise<T>,
): Promise<T> {
  const gateway = createGateway(addresses.gateway);
  const watcher = createGateway(addresses.gateway, { socketsMax: 1 });
  const run = randomBytes(4).toString('hex');
  let items = 0;
  try {
    // Any response will do: a gateway that is away is one sentence, not three failed scenarios.
    await watcher.item(`scenario-${run}`);
    return await withRedis(access.redis, (redis) =>
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
        snapshot: (itemId) => readSnapshot(redis, itemId),
        charges: (itemId) => readCharges(addresses.payments, `${itemId}-`),
        deadLetters: createDeadLetterReader(access.kafka, deadLetterTopic),
        bounds: BOUNDS,
      }),
    );
  } finally {
    gateway.close();
    watcher.close();
  }
}

/** What a scenario found. */
export interface Verdict {
  /** The numbers that show what was tried, in a few words. */
  readonly figures: string;
  /** What is not as promised, one sentence each; none: passed. */
  readonly misses: readonly string[];
}

/** Sends `count` purchases of an item at once, each with a user and an id of its own, until each has a definite response. */
export function buyAtOnce(
  { gateway, bounds }: RunningEngine,
  itemId: string,
  { count, amountOf }: { readonly count: number; readonly amountOf: (index: number) => number },
): Promise<readonly Purchase[]> {
  const bodies = [...Array(count).keys()].map((index) => ({
    user_id: `${itemId}-user-${index}`,
    item_id: itemId,
    amount: amountOf(index),
    request_id: `${itemId}-order-${index}`,
  }));
  const buy = (body: Purchase['body']) =>
    buyUntilDefinite(gateway, body, { withinMs: bounds.answerMsMax });
  return Promise.all(bodies.map(buy));
}

/** A duplicate counts once the same request had to be sent again: an earlier try has made the order. */
export function isAccepted({ outcome, tries }: Purchase): boolean {
  return outcome === 'accepted' || (outcome === 'duplicate' && tries > 1);
}

/** Waits until every order of the item is sold or released. Throws a UserError that says what is still under way. */
export async function idleSnapshot(
  { snapshot, bounds }: RunningEngine,
  itemId: ItemId,
): Promise<ItemSnapshot> {
  let last: ItemSnapshot | undefined;
  const look = async () => {
    last = await snapshot(itemId);
    return underWay(last);
  };
  const { idleMsMax: withinMs, pollMs } = bounds;
  await waitUntilIdle(look, { withinMs, pollMs }).catch((cause: unknown) => {
    throw new UserError(
      `${itemId} is ${describeError(cause)}. Do ingest and worker run? (flash-sale doctor)`,
      { cause },
    );
  });
  return last ?? snapshot(itemId);
}
