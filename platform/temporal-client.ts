import { Client, Connection } from '@temporalio/client';
import type { TemporalAccess } from './config/access';

const CONNECT_MS_MAX = 2_000;

/**
 * Runs `use` with a connection of its own, whose calls together may take `callsMsMax`, and closes it. Throws what connecting
 * or a call throws.
 */
export async function withTemporalConnection<T>(
  { address, security }: TemporalAccess,
  callsMsMax: number,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await Connection.connect({
    address,
    connectTimeout: CONNECT_MS_MAX,
    ...security?.reveal(),
  });
  try {
    return await connection.withDeadline(Date.now() + callsMsMax, () => use(connection));
  } finally {
    await connection.close();
  }
}

/**
 * A client for a process that must start and work while Temporal is away: it connects on the first call and reconnects
 * by itself. This file does not load the native core, which only workers need.
 */
export function createLazyTemporalClient({ address, namespace, security }: TemporalAccess) {
  const connection = Connection.lazy({ address, ...security?.reveal() });
  switchOffBetweenCalls(connection);
  return {
    /** Bound every call by `client.withDeadline`: without it, a call may wait as long as Temporal is away. */
    client: new Client({ connection, namespace }),
    close: () => connection.close(),
  };
}

/**
 * The connection passes a call's deadline on in an AsyncLocalStorage. On Node 20 every promise of the process is slower
 * once one is in use: after one opened ledger each purchase would need a tenth more CPU.
 */
function switchOffBetweenCalls(connection: Connection): void {
  const withDeadline = connection.withDeadline.bind(connection);
  let inFlight = 0;
  connection.withDeadline = async (deadline, use) => {
    inFlight += 1;
    try {
      return await withDeadline(deadline, use);
    } finally {
      inFlight -= 1;
      if (inFlight === 0) connection.callContextStorage.disable();
    }
  };
}
