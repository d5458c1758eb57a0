import { Client, Connection } from '@temporalio/client';
import type { ItemId } from '../engine/orders/order';
import { registerLedgers } from '../engine/reconciliation/register-ledgers';
import { createLedgerOpening } from '../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import { findOpenItems } from '../engine/stock/open-items';
import type { RedisAccess, TemporalAccess } from '../platform/config/access';
import { withRedis } from '../platform/redis';

const CONNECT_MS_MAX = 2_000;

/**
 * Registers the open ledgers of Redis that Temporal does not know, after Temporal was lost. Returns their items. Throws when
 * Redis or Temporal does not reply.
 */
export async function registerOpenLedgers({
  redis: redisAccess,
  temporal,
  taskQueue,
}: {
  readonly redis: RedisAccess | string;
  readonly temporal: TemporalAccess;
  readonly taskQueue: string;
}): Promise<readonly ItemId[]> {
  const { address, namespace, security } = temporal;
  const connection = await Connection.connect({
    address,
    connectTimeout: CONNECT_MS_MAX,
    ...security?.reveal(),
  });
  const registry = createLedgerRegistry(new Client({ connection, namespace }), taskQueue);
  try {
    return await withRedis(redisAccess, async (redis) =>
      registerLedgers(
        { opening: createLedgerOpening(redis), registry },
        await findOpenItems(redis),
      ),
    );
  } finally {
    await connection.close();
  }
}
