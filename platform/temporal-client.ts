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
  return {
    client: new Client({ connection, namespace }),
    close: () => connection.close(),
  };
}
