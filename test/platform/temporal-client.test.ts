import { AsyncResource } from 'node:async_hooks';
import { Connection } from '@temporalio/client';
import { createLazyTemporalClient } from '../../platform/temporal-client';

describe('The lazy Temporal client', () => {
  const { client, close } = createLazyTemporalClient({ address: '127.0.0.1:1', namespace: 'any' });
  const { connection } = client;
  if (!(connection instanceof Connection)) throw new Error('Another kind of connection');
  const { callContextStorage } = connection;
  afterAll(close);

  /** A call that lasts until `finish`; `deadline` sees what the storage holds for it, also later. */
  const startCall = () => {
    let finish = (): void => undefined;
    let deadline: () => unknown = () => undefined;
    const done = client.withDeadline(Date.now() + 1_000, () => {
      deadline = AsyncResource.bind(() => callContextStorage.getStore()?.deadline);
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    return {
      done,
      finish: () => {
        finish();
      },
      deadline: () => deadline(),
    };
  };

  test('switches the storage of deadlines off after the last call, and not before', async () => {
    const [one, other] = [startCall(), startCall()];
    one.finish();
    await one.done;
    expect(other.deadline()).toBeGreaterThan(0);
    other.finish();
    await other.done;
    expect(other.deadline()).toBeUndefined();
  });

  test('gives a call after that its deadline again', async () => {
    const call = startCall();
    expect(call.deadline()).toBeGreaterThan(0);
    call.finish();
    await call.done;
  });
});
