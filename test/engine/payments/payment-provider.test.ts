import { createFakePaymentProvider } from '../../support/fake-payment-provider';
import { describePaymentProvider, newCharge } from './payment-provider.contract';
import { startSimulator } from './running-simulator';

describePaymentProvider('the simulator over HTTP', async () => {
  const simulator = await startSimulator();
  const rules: object[] = [];
  return {
    ...simulator,
    decline: (key, code) => {
      rules.push({ kind: 'decline', keyPrefix: key, code, times: 1 });
      return simulator.misbehave(...rules);
    },
  };
});

describePaymentProvider('the fake', () => {
  const fake = createFakePaymentProvider();
  return Promise.resolve({
    provider: fake,
    decline: fake.decline,
    moneyHeld: (key) => {
      const charge = fake.charges().find((candidate) => candidate.key === key);
      return Promise.resolve(charge?.status === 'captured' ? charge.amountMinor : 0);
    },
    close: () => undefined,
  });
});

describe('the fake', () => {
  it('fails before a charge takes effect when told so, once', async () => {
    const fake = createFakePaymentProvider();
    const charge = newCharge();
    fake.breakNext('charge', 'before');
    await expect(fake.charge(charge)).rejects.toThrow('told to fail');
    await expect(fake.find(charge.key)).resolves.toBeUndefined();
    await expect(fake.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
  });

  it('loses the answer of a charge that took effect when told so', async () => {
    const fake = createFakePaymentProvider();
    const charge = newCharge();
    fake.breakNext('charge', 'after');
    await expect(fake.charge(charge)).rejects.toThrow('lost');
    expect(fake.charges()).toMatchObject([{ key: charge.key, status: 'captured' }]);
  });
});
