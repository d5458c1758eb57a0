import type { PaymentSettings } from '../../platform/config/payments';
import { createHttpPaymentProvider } from './http-provider';
import { createPaymentMethods } from './payment-methods';
import type {
  AfterSaleProvider,
  CheckoutProvider,
  PaymentEvents,
  PaymentProvider,
} from './payment-provider';
import { createStripePaymentProvider } from './stripe/stripe-provider';

/** The payment provider that the settings choose. Another one is a file like its adapters, and a line here. */
export function openPaymentProvider(
  settings: PaymentSettings,
): PaymentProvider & CheckoutProvider & AfterSaleProvider & PaymentEvents {
  if (settings.provider === 'simulator') {
    const { url, webhookSecret } = settings;
    return createHttpPaymentProvider({ baseUrl: url, webhookSecret: webhookSecret?.reveal() });
  }
  const { secretKey, publishableKey, webhookSecrets, apiUrl, methods } = settings;
  return createStripePaymentProvider({
    secretKey: secretKey.reveal(),
    publishableKey,
    webhookSecrets: webhookSecrets.map((secret) => secret.reveal()),
    paymentOf: createPaymentMethods(
      methods && { url: methods.url, token: methods.token?.reveal() },
    ),
    ...(apiUrl !== undefined && { apiUrl }),
  });
}
