import { createServer, type AddressInfo } from 'node:net';
import { isGrpcServiceError } from '@temporalio/client';
import {
  DefaultLogger,
  NativeConnection,
  Runtime,
  type LogLevel as SdkLogLevel,
} from '@temporalio/worker';
import type { TemporalAccess } from './config/access';
import type { Logger } from './logger';
import { withTemporalConnection } from './temporal-client';
import { within } from './until';
import { UserError } from './user-error';

/**
 * Sends the logs of the SDK and its native core to `logger`. Call it once per process, before the first connection.
 * The core serves its metrics at `metricsAddress` (host:port); absent: no metrics. Runs of `mayFail` are expected to fail.
 */
export function installTemporalRuntime(
  logger: Logger,
  {
    metricsAddress,
    mayFail,
  }: { readonly metricsAddress?: string; readonly mayFail?: string | undefined } = {},
): void {
  Runtime.install({
    logger: createSdkLogger(logger, mayFail),
    telemetryOptions: {
      logging: { filter: { core: 'WARN', other: 'ERROR' }, forward: {} },
      ...(metricsAddress && { metrics: { prometheus: { bindAddress: metricsAddress } } }),
    },
  });
}

/**
 * The logger of the SDK, which writes to `logger`. The SDK warns of every workflow that fails; those of type `mayFail` are
 * no reason to. A bug in a workflow fails its task instead, which has another message.
 */
export function createSdkLogger(logger: Logger, mayFail?: string): DefaultLogger {
  const child = logger.child({ lib: 'temporal' });
  const write: Record<SdkLogLevel, (meta: object, message: string) => void> = {
    TRACE: () => undefined,
    DEBUG: (meta, message) => {
      child.debug(meta, message);
    },
    // The SDK reports every start and stop of its parts, which interests developers only.
    INFO: (meta, message) => {
      child.debug(meta, message);
    },
    WARN: (meta, message) => {
      child.warn(meta, message);
    },
    ERROR: (meta, message) => {
      child.error(meta, message);
    },
  };
  return new DefaultLogger('DEBUG', ({ level, message, meta }) => {
    const { error, ...fields } = (meta ?? {}) as { error?: unknown; workflowType?: string };
    const isExpected = message === 'Workflow failed' && fields.workflowType === mayFail;
    const shown = isExpected ? 'DEBUG' : level;
    write[shown](error === undefined ? fields : { ...fields, err: error }, message);
  });
}

/**
 * The metrics of the native core, which serves them on a port of its own: the health server adds them to the process's, so
 * that it has one address. The port is free when it is chosen and bound a moment later: if another process takes it in
 * between, the core refuses to start and the supervisor tries again.
 */
export async function sdkMetrics() {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const address = `127.0.0.1:${String(port)}`;
  return {
    /** For the runtime. */
    address,
    /** In the Prometheus format. */
    read: async () => (await fetch(`http://${address}/metrics`)).text(),
  };
}

const PROBE_CALL_MS_MAX = 3_000;
/** The server has just answered. */
const CONNECT_MS_MAX = 10_000;

/**
 * Connects once Temporal answers and has the namespace. Asks by a client of its own first: the native core waits for a
 * frozen server without end. Throws a UserError when Temporal refuses this process.
 */
export async function tryTemporal(access: TemporalAccess): Promise<NativeConnection> {
  const { namespace } = access;
  try {
    await withTemporalConnection(access, PROBE_CALL_MS_MAX, ({ workflowService }) =>
      workflowService.describeNamespace({ namespace }),
    );
  } catch (error) {
    if (!isGrpcServiceError(error) || !REFUSALS.includes(error.code)) throw error;
    throw new UserError(`Temporal refuses this process: ${error.message}`, { cause: error });
  }
  return await within(connectTemporal(access), CONNECT_MS_MAX, 'connecting to Temporal');
}

/** UNAUTHENTICATED and PERMISSION_DENIED of gRPC. */
const REFUSALS: readonly number[] = [16, 7];

/** Resolves when Temporal answers on this connection, and rejects after a while when it does not. */
export function pingTemporal(connection: NativeConnection): Promise<unknown> {
  return connection.withDeadline(Date.now() + PROBE_CALL_MS_MAX, () =>
    connection.workflowService.getSystemInfo({}),
  );
}

/** The one native connection of a process, for workers and clients: a start costs 0.2 ms of CPU on it, 0.5 ms on a separate client. */
export function connectTemporal({ address, security }: TemporalAccess): Promise<NativeConnection> {
  // Compression costs CPU, and on a local link the bytes are cheap.
  return NativeConnection.connect({
    address,
    grpcCompression: { codec: 'none' },
    ...security?.reveal(),
  });
}
