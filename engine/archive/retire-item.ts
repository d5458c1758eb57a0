import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { ItemId } from '../orders/order';
import type { ByHand } from '../stock/ledger-counts';
import { createFinishClaims } from '../stock/claims';
import { createLeavingOrders } from '../stock/leaving-orders';
import { createLedgerMaintenance } from '../stock/ledger-maintenance';
import type { LedgerRegistry } from '../stock/ledger-registry';
import type { RetirementStep, TakeRetirementStep } from '../stock/retirement';
import { chunks } from '../../platform/chunks';
import type { RedisConnection } from '../../platform/redis';
import type { ArchiveDatabase } from './database';
import { createFinishedOrders } from './finished-orders';
import { leave } from './leave-ledger';

export interface RetireItemDeps {
  readonly archive: ArchiveDatabase;
  readonly redis: RedisConnection;
  readonly takeStep: TakeRetirementStep;
  readonly registry: Pick<LedgerRegistry, 'registration' | 'retire'>;
  /** Registers the item again, which has got something to lose. */
  readonly registerAgain: (itemId: ItemId) => Promise<unknown>;
  /** How long the request_ids of its orders are known. */
  readonly orderRetentionMs: number;
  readonly now?: () => number;
}

/** `entries` and `changes` remain where the archive has not taken them within a minute. */
export type Retirement =
  | Exclude<RetirementStep, { readonly kind: 'ready' }>
  /** What Redis has lost may be sold, or under way. */
  | { readonly kind: 'lost' };

const IDLE_MS_MAX = 60_000;
const LOOK_EVERY_MS = 500;
/** Orders that leave at once. */
const AT_ONCE = 200;

/**
 * Retires an item whose sale is over: its orders leave the ledger, also those that failed lately, the retirement is archived
 * as the item's last change, the ledger leaves the registry, and then Redis. Whatever stops it in between, it goes on when it
 * is called again. Throws when one of the systems does not answer.
 */
export async function retireItem(
  deps: RetireItemDeps,
  itemId: ItemId,
  who: ByHand,
): Promise<Retirement> {
  const { takeStep, registry, now = Date.now } = deps;
  const { open } = await createLedgerMaintenance(deps.redis).standing(itemId);
  if (!open && (await registry.registration(itemId))) return { kind: 'lost' };
  let idleSince = now();
  for (;;) {
    let step = await takeStep(itemId, who);
    if (step.kind === 'ready') {
      await registry.retire(itemId);
      step = await takeStep(itemId, { ...who, isRemoved: true }).catch(async (error: unknown) => {
        await deps.registerAgain(itemId);
        throw error;
      });
      if (step.kind !== 'retired') await deps.registerAgain(itemId);
    }
    const isWaiting = step.kind === 'entries' || step.kind === 'changes';
    if (step.kind !== 'ready' && !(isWaiting && now() - idleSince < IDLE_MS_MAX)) return step;
    if (step.kind === 'entries' && (await leaveAll(deps, itemId))) idleSince = now();
    else await sleep(LOOK_EVERY_MS);
  }
}

/** Removes the orders from the ledger that the archive has as they ended. Whether there was any. */
async function leaveAll(
  { archive, redis, orderRetentionMs }: RetireItemDeps,
  itemId: ItemId,
): Promise<boolean> {
  const finished = createFinishedOrders(archive);
  const pages = createLedgerMaintenance(redis);
  let left = 0;
  const deps = {
    finished,
    ledger: createLeavingOrders(redis),
    finishClaims: createFinishClaims(redis),
    ledgerRetentionMs: 0,
    orderRetentionMs,
    onLeft: (orders: number) => {
      left += orders;
    },
    onFailure: ({ error }: { readonly error: unknown }) => {
      throw error;
    },
  };
  let cursor = '0';
  do {
    const { orders, next } = await pages.page(itemId, cursor);
    const orderIds = orders.flatMap(({ entry }) =>
      'problem' in entry ? [] : (entry.orderId ?? []),
    );
    for (const some of chunks(orderIds, AT_ONCE)) await leave(deps, await finished.among(some));
    cursor = next;
  } while (cursor !== '0');
  return left > 0;
}

/** When an item was last retired, in ms since the epoch by the clock of Redis; undefined for one that never was. */
export async function retiredAt(
  database: ArchiveDatabase,
  itemId: ItemId,
): Promise<number | undefined> {
  const { rows } = await sql<{ at: Date | null }>`
    select max(at) as at from stock_changes where item_id = ${itemId} and kind = 'retired'
  `.execute(database);
  return rows[0]?.at?.getTime();
}
