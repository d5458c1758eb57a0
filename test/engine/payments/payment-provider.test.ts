import { createFakePaymentProvider } from '../../support/fake-payment-provider';
import type { WebhookReceiver } from '../../../engine/payments/simulator/webhooks';
import { describeCheckout } from './checkout.contract';
import { describePaymentProvider } from './payment-provider.contract';
import { describePaymentEvents } from './payment-events.contract';
import { startSimulator } from './running-simulator';
import { sign, startReceiver } from './webhook-receiver';

async function startSubject(webhooks?: WebhookReceiver) {
  const simulator = await startSimulator({ ...(webhooks && { webhooks }) });
  const rules: object[] = [];
  return {
    ...simulator,
    decline: (key: string, code: string) => {
      rules.push({ kind: 'decline', keyPrefix: key, code, times: 1 });
      return simulator.misbehave(...rules);
    },
  };
}
describePaymentProvider('the simulator over HTTP', () => startSubject());
describeCheckout('the simulator over HTTP', () => startSubject());
describePaymentEvents('the simulator over HTTP', async () => {
  const receiver = await startReceiver();
  const subject = await startSubject(receiver.webhooks);
  return {
    ...subject,
    webhooksOf: receiver.webhooksOf,
    sign,
    close: async () => {
      await subject.close();
      await receiver.close();
    },
  };
});

function startFake() {
  const fake = createFakePaymentProvider();
  const declined = new Map<string, string>();
  fake.declineIf((key) => declined.get(key) ?? false);
  return Promise.resolve({
    provider: fake.provider,
    decline: (key: string, code: string) => void declined.set(key, code),
    moneyHeld: (key: string) => Promise.resolve(fake.moneyHeld(key)),
    pay: (...action: Parameters<typeof fake.pay>) => {
      fake.pay(...action);
      return Promise.resolve();
    },
    close: () => undefined,
  });
}
describePaymentProvider('the fake', startFake);
describeCheckout('the fake', startFake);
