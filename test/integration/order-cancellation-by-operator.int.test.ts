import {
  cancellationHeeded,
  capturedOf,
  endOf,
  heldUp,
  isChargedInDoubt,
  losesItsCharge,
  hasUnresolvedCharge,
  type Arrange,
} from '../support/held-up';
import { failureOf, useSaga } from '../support/saga';
import type { Step } from '../support/step-hooks';

const saga = useSaga();

describe('an order whose run an operator cancels', () => {
  test('before its first workflow task takes nothing', async () => {
    const order = await saga.aQueuedOrder();
    const handle = await saga.startLater(order);
    await handle.cancel();
    expect(await endOf(handle)).toBe('cancelled');
    expect(saga.money.moneyOf(order.requestId)).toEqual({});
    expect(await saga.entryOf(order)).toMatchObject({ state: 'released', reason: 'cancelled' });
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, queued: 0, supply: 1 });
  });

  test.each<[string, 'before' | 'after', Step, Arrange]>([
    ['during a settlement', 'before', 'refundPayment', hasUnresolvedCharge],
    ['during the charge', 'after', 'chargePayment', isChargedInDoubt],
  ])('%s gets everything back, and can be tried again', async (_, when, step, arrange) => {
    const { order, handle, letGo } = await heldUp(saga, when, step, arrange);
    await handle.cancel();
    await cancellationHeeded(handle);
    letGo();
    expect(await endOf(handle)).toBe('cancelled');
    expect(await saga.entryOf(order)).toMatchObject({
      state: 'released',
      reason: 'cancelled',
      unresolvedCharges: [],
    });
    expect(capturedOf(saga, order)).toBe(0);
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
    expect(await (await saga.reset(order)).result()).toMatchObject({ outcome: 'confirmed' });
    expect(capturedOf(saga, order)).toBe(1);
  });

  test('during its compensation fails as it would have', async () => {
    const { order, handle, letGo } = await heldUp(saga, 'before', 'releaseStock', losesItsCharge);
    await handle.cancel();
    letGo();
    expect(await failureOf(handle)).toBe('payment-unknown');
    expect(capturedOf(saga, order)).toBe(0);
    expect(saga.lettersOf(order)).toHaveLength(1);
    expect(await saga.countsOf(order)).toMatchObject({ free: 1, supply: 1 });
  });

  test.each<['before' | 'after', Step]>([
    ['before', 'reserveStock'],
    ['after', 'reserveStock'],
    ['after', 'chargePayment'],
    ['before', 'confirmSale'],
  ])(
    '%s %s, within its first task, is sold: nothing is heard before that has ended',
    async (when, step) => {
      const { order, handle, letGo } = await heldUp(saga, when, step);
      await handle.cancel();
      letGo();
      expect(await endOf(handle)).toBe('confirmed');
      expect(capturedOf(saga, order)).toBe(1);
    },
  );
});
