import { createLogger } from '../../../../platform/logger';
import { connectTemporal, installTemporalRuntime } from '../../../../platform/temporal';
import { createEmptyOrders, type EmptyRun } from './orders';

/** node main.js <temporal> <namespace> <task queue>: runs empty workflows as it is told to by messages. */
async function main([address = '', namespace = '', taskQueue = '']: readonly string[]) {
  installTemporalRuntime(createLogger('empty', 'warn'));
  const connection = await connectTemporal({ address, namespace });
  const orders = await createEmptyOrders(connection, namespace, taskQueue);
  process.on('message', (run: EmptyRun) => {
    void orders.run(run).then((answer) => process.send?.(answer));
  });
  process.on('disconnect', () => {
    void orders.stop().then(() => process.exit());
  });
}

void main(process.argv.slice(2));
