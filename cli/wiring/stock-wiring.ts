import type { ItemId } from '../../engine/orders/order';
import { createStockOperations } from '../../engine/stock/operations/redis-stock-operations';
import type { StockOperations } from '../../engine/stock/operations/stock-operations';
import { createStockLedger } from '../../engine/stock/redis-stock-ledger';
import { saleClear, saleSet } from '../commands/sale-set';
import { stockRestock } from '../commands/stock/restock';
import { operatorName } from '../arguments/operator-name';
import type { Terminal } from '../output/terminal';
import { withRedis } from './redis-connection';
import type { StackAccess } from './stack-access';
import type { StockCommands } from '../programs/stock-program';
import type { CommonOptions } from '../usage';

export interface StockWiring {
  readonly terminal: Terminal;
  readonly find: (options: CommonOptions) => Pick<StackAccess, 'redis'>;
  /** Of items whose sale names none. */
  readonly defaultCurrency: string;
}

/** The commands that change stock and sales, on the real Redis. */
export function createStockCommands({
  terminal,
  find,
  defaultCurrency,
}: StockWiring): Pick<StockCommands, 'stockRestock' | 'saleSet' | 'saleClear'> {
  const doors = (options: CommonOptions) => {
    const { redis: addr } = find(options);
    return {
      ...{ terminal, defaultCurrency, by: operatorName() },
      withStock: <T>(use: (stock: StockOperations) => Promise<T>) =>
        withRedis(addr, (redis) => use(createStockOperations(redis))),
      sale: (itemId: ItemId) =>
        withRedis(addr, async (redis) => (await createStockLedger(redis).item(itemId))?.sale),
    };
  };
  return {
    stockRestock: (options) => stockRestock(doors(options), options),
    saleSet: (options) => saleSet(doors(options), options),
    saleClear: (options) => saleClear(doors(options), options),
  };
}
