import { Client, Connection } from '@temporalio/client';
import type { TemporalAccess } from './config/temporal-access';

export interface LazyTemporalClient {
  /** Bound every call by `client.withDeadline`: without one, a call may wait for as long as Temporal is away. */
  readonly client: Client;
  readonly close: () => Promise<void>;
}

/**
 * A client for a process that must start and work while Temporal is away: it connects with the first call, and again by
 * itself after a loss. Without the native core that workers need, which would be loaded for a call in a thousand.
 */
export function createLazyTemporalClient({
  address,
  namespace,
  security,
}: TemporalAccess): LazyTemporalClient {
  const connection = Connection.lazy({ address, ...security?.reveal() });
  switchOffBetweenCalls(connection);
  return {
    client: new Client({ connection, namespace }),
    close: () => connection.close(),
  };
}

/**
 * The connection hands a call's deadline on through an AsyncLocalStorage. On Node 20 the first use of one makes every
 * promise of the process dearer, for ever after: one opened ledger would cost each later purchase a tenth of its CPU.
 */
function switchOffBetweenCalls(connection: Connection): void {
  const withDeadline = connection.withDeadline.bind(connection);
  let underWay = 0;
  connection.withDeadline = async (deadline, use) => {
    underWay += 1;
    try {
      return await withDeadline(deadline, use);
    } finally {
      underWay -= 1;
      if (underWay === 0) connection.callContextStorage.disable();
    }
  };
}
