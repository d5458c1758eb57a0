import { loadApiConfig } from '../../platform/config';
import { joinCopies } from '../../platform/copies/copy';
import { createLifecycle, runProcess } from '../../platform/lifecycle';
import { createLogger } from '../../platform/logger';
import { runGateway } from '../run-gateway';

/** One of the gateway processes behind one port, started by `api/main.ts` where API_PROCESSES is more than 1. */
async function main() {
  const config = loadApiConfig(process.env);
  const logger = createLogger('api', config.logLevel);
  const lifecycle = createLifecycle(logger, { terminal: 'leave-to-parent' });
  await runGateway(config, { logger, ...lifecycle, joinSiblings: joinCopies });
}

runProcess('api', main);
