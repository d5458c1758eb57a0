import { createCancelWorkflow } from '../../api/routes/cancel-order';
import type { RequestId } from '../../engine/orders/order';
import { createLazyTemporalClient } from '../../platform/temporal-client';

test('a cancellation fails within its bound while Temporal is away, and can be repeated', async () => {
  const temporal = createLazyTemporalClient({ address: '127.0.0.1:1', namespace: 'default' });
  const cancelWorkflow = createCancelWorkflow(temporal.client);
  try {
    const startedAt = performance.now();
    const fails = { name: 'ServiceError' };
    await expect(cancelWorkflow('req-1' as RequestId)).rejects.toMatchObject(fails);
    await expect(cancelWorkflow('req-1' as RequestId)).rejects.toMatchObject(fails);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  } finally {
    await temporal.close();
  }
});
