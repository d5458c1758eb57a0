import { loadSimulatorConfig } from '../../platform/config';
import { createLifecycle } from '../../platform/lifecycle';
import { createLogger } from '../../platform/logger';
import { createSimulator } from './simulator';

const { host, port, logLevel, ledgerFile, declineRate } = loadSimulatorConfig(process.env);
const logger = createLogger('payment-simulator', logLevel);
const lifecycle = createLifecycle(logger);

async function main() {
  const simulator = await createSimulator({ ledgerFile, declineRate, onFault: lifecycle.fail });
  lifecycle.onShutdown('simulator', simulator.close);
  const { url } = await simulator.listen(port, host);
  logger.info({ url, ledgerFile, declineRate }, 'the payment simulator is listening');
}

main().catch((error: unknown) => {
  lifecycle.fail(error instanceof Error ? error : new Error(String(error)));
});
