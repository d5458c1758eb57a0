import { createFinishedOrders } from '../engine/archive/finished-orders';
import type { ArchiveDatabase } from '../engine/archive/database';
import { leaveLedger } from '../engine/archive/leave-ledger';
import { createFinishClaims } from '../engine/stock/claims';
import { createLeavingOrders } from '../engine/stock/leaving-orders';
import { createRepeatFilter, type Logger } from '../platform/logger';
import type { RedisConnection } from '../platform/redis';
import { lookEvery } from '../platform/until';
import { describeError } from '../platform/user-error';
import type { ArchiveMetrics } from './metrics';

/** Nobody waits for it: an order stays for hours at least. */
const LOOK_EVERY_MS = 30_000;

/**
 * Lets archived orders leave the ledger in Redis, as long as it is not stopped. While Redis or PostgreSQL is away they stay.
 * Several processes may do it at once.
 */
export function startLedgerRetention({
  redis,
  archive,
  retentions,
  metrics,
  logger,
}: {
  readonly redis: RedisConnection;
  readonly archive: ArchiveDatabase;
  readonly retentions: { readonly ledgerRetentionMs: number; readonly orderRetentionMs: number };
  readonly metrics: Pick<ArchiveMetrics, 'left'>;
  readonly logger: Logger;
}): { stop(): void } {
  const isNews = createRepeatFilter();
  let stopped = false;
  const report = (error: unknown, fields: object = {}) => {
    if (!stopped && isNews(describeError(error))) {
      logger.warn({ err: error, ...fields }, 'finished orders stay in the ledger');
    }
  };
  const deps = {
    ...retentions,
    finished: createFinishedOrders(archive),
    ledger: createLeavingOrders(redis),
    finishClaims: createFinishClaims(redis),
    onLeft: (orders: number) => {
      metrics.left.inc(orders);
    },
    onFailure: ({ itemId, error }: { readonly itemId: string; readonly error: unknown }) => {
      report(error, { itemId });
    },
  };
  const looks = lookEvery(LOOK_EVERY_MS, () => leaveLedger(deps, () => !stopped).catch(report));
  return {
    stop: () => {
      stopped = true;
      looks.stop();
    },
  };
}
