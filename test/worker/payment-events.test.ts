import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { pino } from 'pino';
import { keepPaymentEvents } from '../../worker/payment-events';

const settings = { taskQueue: 'orders', paymentEventsEveryMs: 15_000 };
const logger = pino({ level: 'silent' });

test('the reader of payment events is started again and again, until the worker stops', async () => {
  const stopping = new AbortController();
  const ids: unknown[] = [];
  const start = (_type: string, { workflowId }: { workflowId: string }) => {
    ids.push(workflowId);
    if (ids.length === 1) return Promise.reject(new Error('Temporal is away'));
    if (ids.length === 2) {
      return Promise.reject(new WorkflowExecutionAlreadyStartedError('', workflowId, ''));
    }
    // An operator has terminated it.
    stopping.abort();
    return Promise.resolve();
  };
  const client = { workflow: { start } } as unknown as Client;
  await keepPaymentEvents(client, settings, { stopping: stopping.signal, logger }, 1);
  expect(ids).toEqual(Array(3).fill('payment-events/orders'));
});
