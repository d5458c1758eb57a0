import { join } from 'node:path';
import { loadApiConfig } from '../platform/config';
import { createLifecycle, runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { runGateway } from './run-gateway';

async function main() {
  const config = loadApiConfig(process.env);
  const logger = createLogger('api', config.logLevel);
  const lifecycle = createLifecycle(logger);
  if (config.processes === 1) {
    await runGateway(config, { logger, ...lifecycle });
    return;
  }
  // Loaded only where it is wanted: a process that is alone has nothing to do with node:cluster.
  const { startCopies } = await import('../platform/copies/parent.js');
  const copies = startCopies({
    file: join(__dirname, 'copy', 'main.js'),
    count: config.processes,
    logger,
    fail: lifecycle.fail,
  });
  lifecycle.onShutdown('copies', copies.stop);
}

runProcess('api', main);
