import type { GatewayParts } from '../../api/gateway';
import { openGateway, type OpenGateway } from '../api/open-gateway';
import { openRedisStock, type RedisStock } from './redis-stock';

export interface GatewayOnRedis {
  readonly stock: RedisStock;
  readonly open: OpenGateway;
  readonly close: () => Promise<void>;
}

/** A gateway in this process with its stock in the real Redis and a fake log. */
export async function openGatewayOnRedis(
  parts: Partial<GatewayParts> = {},
): Promise<GatewayOnRedis> {
  const stock = openRedisStock();
  const open = await openGateway({
    change: () => ({ admission: stock.admission, ledger: stock.ledger, ...parts }),
  });
  const close = async () => {
    await open.close();
    await stock.redis.quit();
  };
  return { stock, open, close };
}
