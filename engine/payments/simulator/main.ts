import { loadSimulatorConfig } from '../../../platform/config';
import { createLifecycle, runProcess } from '../../../platform/lifecycle';
import { createLogger } from '../../../platform/logger';
import { createSimulator } from './simulator';

async function main() {
  const { host, port, logLevel, ledgerFile, declineRate, webhooks, pageUrl } = loadSimulatorConfig(
    process.env,
  );
  const logger = createLogger('payment-simulator', logLevel);
  const { onShutdown, fail } = createLifecycle(logger);

  const simulator = await createSimulator({
    ledgerFile,
    declineRate,
    webhooks: webhooks && { url: webhooks.url, secret: webhooks.secret.reveal() },
    pageUrl,
    onError: fail,
  });
  onShutdown('simulator', simulator.close);
  const { url } = await simulator.listen(port, host);
  logger.info({ url, ledgerFile, declineRate }, 'the payment simulator is listening');
}

runProcess('payments', main);
