import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';

/**
 * Temporal's native core for a test file, telling errors only: late answers and broken histories are what the tests make
 * on purpose, and the core warns of each.
 */
export function installQuietRuntime(): void {
  const filter = makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' });
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter } },
    workerHeartbeatInterval: 0,
  });
}
