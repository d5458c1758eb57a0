import { LOOPBACK } from '../../../platform/machine';
import { createBareGateway, createParsingGateway } from './koa-gateways';
import { createUsualGateway } from './usual-design';

/** node main.js <rival> <port> <redis> <kafka> <topic>: one rival of the gateway, until it is ended. */
async function main([name, port, redisAddr = '', kafkaAddr = '', topic = '']: readonly string[]) {
  const app = await create();
  app.listen(Number(port), LOOPBACK);
  process.once('SIGTERM', () => process.exit());

  function create() {
    switch (name) {
      case 'bare':
        return createBareGateway();
      case 'parsing':
        return createParsingGateway();
      case 'usual':
        return createUsualGateway({ redisAddr, kafkaAddr, topic });
      case undefined:
      default:
        throw new Error(`There is no rival ${String(name)}`);
    }
  }
}

void main(process.argv.slice(2));
