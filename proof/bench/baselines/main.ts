import { LOOPBACK } from '../../../platform/machine';
import { createBareGateway, createParsingGateway, createUsualGateway } from './gateways';

/**
 * node main.js <baseline> <arguments>: one baseline, which answers every message of the bench with one of its own.
 * bare|parsing|usual <port> <redis> <kafka> <topic>: a gateway; its first answer says that it listens.
 * empty <temporal> <namespace> <task queue>: workflows that do nothing; it runs as many as each message says.
 */
async function main([name = '', ...args]: readonly string[]): Promise<void> {
  if (name === 'empty') {
    // Loaded only here: the gateways do without Temporal's native code.
    const { serveEmptyOrders } = await import('./empty-orders.js');
    return serveEmptyOrders(args);
  }
  const [port, redisAddr = '', kafkaAddr = '', topic = ''] = args;
  const listening = createGateway().then(
    (app) =>
      new Promise<void>((resolve) => {
        app.listen(Number(port), LOOPBACK, resolve);
      }),
  );
  process.on('message', () => {
    void listening.then(() => process.send?.({ listening: true }));
  });
  // The bench is gone or has stopped this gateway.
  process.on('disconnect', () => process.exit());

  async function createGateway() {
    if (name === 'bare') return createBareGateway();
    if (name === 'parsing') return createParsingGateway();
    if (name === 'usual') return createUsualGateway({ redisAddr, kafkaAddr, topic });
    throw new Error(`There is no baseline ${name}`);
  }
}

void main(process.argv.slice(2));
