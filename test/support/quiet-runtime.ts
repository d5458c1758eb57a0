import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';

/**
 * Temporal's native core for a test file, with only errors in its log. The tests cause late responses and broken histories
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
