import { Secret, type Reader } from './reader';

/** The payment provider, and what it takes to reach it. */
export type PaymentSettings = SimulatorSettings | StripeSettings;

interface SimulatorSettings {
  readonly provider: 'simulator';
  /** Without a slash at its end. */
  readonly url: string;
  /** Absent: no webhook is believed. */
  readonly webhookSecret?: Secret | undefined;
}

export interface StripeSettings {
  readonly provider: 'stripe';
  readonly secretKey: Secret;
  /** What a buyer's page needs besides the client secret; absent: the shop's page has its own. */
  readonly publishableKey?: string | undefined;
  /** With which Stripe signs webhooks: several while one is replaced, none without an endpoint. */
  readonly webhookSecrets: readonly Secret[];
  /** Another address of the API, for tests; absent: Stripe's. */
  readonly apiUrl?: string | undefined;
  /** Where the shop says what a buyer pays with; absent: only purchases that name it can be paid. */
  readonly methods?: { readonly url: string; readonly token?: Secret | undefined } | undefined;
}

/** Secret keys, and restricted ones. */
const STRIPE_KEY = /^(?:sk|rk)_(test|live)_\w+$/;
const PUBLISHABLE_KEY = /^pk_(test|live)_\w+$/;
const WEBHOOK_SECRET = /^whsec_[\w+/=]+$/;

/** Every process that charges, refunds or looks charges up reads the same. */
export function readPayments(read: Reader, production: boolean): PaymentSettings {
  const chosen = read.optional('PAYMENT_PROVIDER');
  const provider = read.oneOf('PAYMENT_PROVIDER', 'simulator', ['simulator', 'stripe']);
  const url = read.optionalUrl('PAYMENT_URL');
  const secretKey = read.secret('STRIPE_SECRET_KEY');
  const publishableKey = read.optional('STRIPE_PUBLISHABLE_KEY');
  const webhookSecret = read.content('STRIPE_WEBHOOK_SECRET');
  const mode = read.oneOf('STRIPE_MODE', production ? 'live' : 'test', ['test', 'live']);
  const apiUrl = read.optionalUrl('STRIPE_API_URL');
  const methodsUrl = read.optionalUrl('PAYMENT_METHODS_URL');
  const token = read.secret('PAYMENT_METHODS_TOKEN');
  if (provider === 'simulator') {
    if (production) {
      read.fail(
        chosen === undefined
          ? 'PAYMENT_PROVIDER is required when ENGINE_MODE is production: stripe'
          : 'PAYMENT_PROVIDER must not be simulator when ENGINE_MODE is production: it takes no money',
      );
    }
    const without = {
      STRIPE_SECRET_KEY: secretKey,
      STRIPE_PUBLISHABLE_KEY: publishableKey,
      STRIPE_WEBHOOK_SECRET: webhookSecret,
    };
    for (const [name, value] of Object.entries(without)) {
      if (value !== undefined) read.fail(`${name} is set without PAYMENT_PROVIDER=stripe`);
    }
    if (url === undefined) read.fail('PAYMENT_URL is required');
    return { provider, url: url ?? '', webhookSecret: read.secret('PAYMENT_WEBHOOK_SECRET') };
  }
  for (const [name, value] of Object.entries({
    STRIPE_API_URL: apiUrl,
    PAYMENT_METHODS_URL: methodsUrl,
  })) {
    if (production && value !== undefined && !value.startsWith('https:')) {
      read.fail(`${name} must be an https URL when ENGINE_MODE is production`);
    }
  }
  // The client takes host and port of it alone.
  if (apiUrl !== undefined && !/^https?:\/\/[^/?#@\s]+$/i.test(apiUrl)) {
    read.fail('STRIPE_API_URL must hold only scheme, host and port');
  }
  // The client sends none that stands in a URL.
  if (methodsUrl !== undefined && URL.parse(methodsUrl)?.username) {
    read.fail('PAYMENT_METHODS_URL must hold no password: use PAYMENT_METHODS_TOKEN');
  }
  if (token && methodsUrl === undefined) {
    read.fail('PAYMENT_METHODS_TOKEN is set without PAYMENT_METHODS_URL');
  }
  const methods = methodsUrl === undefined ? undefined : { url: methodsUrl, token };
  checkKey(read, secretKey?.reveal(), mode);
  if (publishableKey !== undefined && PUBLISHABLE_KEY.exec(publishableKey)?.[1] !== mode) {
    read.fail(`STRIPE_PUBLISHABLE_KEY must be a publishable key of ${mode} mode: pk_${mode}_...`);
  }
  const secrets = webhookSecret?.split(',').map((one) => one.trim()) ?? [];
  if (!secrets.every((one) => WEBHOOK_SECRET.test(one))) {
    read.fail(
      'STRIPE_WEBHOOK_SECRET must be signing secrets of Stripe, comma-separated: whsec_...',
    );
  }
  const webhookSecrets = secrets.map((one) => new Secret(one));
  return {
    provider,
    secretKey: secretKey as Secret,
    publishableKey,
    webhookSecrets,
    apiUrl,
    methods,
  };
}

/** Whom the simulator sends webhooks. A URL without a secret is a receiver that could not tell a forged webhook. */
export function readWebhooks(read: Reader) {
  const url = read.optionalUrl('PAYMENT_WEBHOOK_URL');
  const secret = read.secret('PAYMENT_WEBHOOK_SECRET');
  if (url === undefined) return undefined;
  if (!secret) read.fail('PAYMENT_WEBHOOK_SECRET is required with PAYMENT_WEBHOOK_URL');
  return { url, secret: secret as Secret };
}

/** A key is never quoted. */
function checkKey(read: Reader, key: string | undefined, mode: 'test' | 'live'): void {
  if (key === undefined) {
    read.fail(
      'STRIPE_SECRET_KEY (or STRIPE_SECRET_KEY_FILE) is required with PAYMENT_PROVIDER=stripe',
    );
    return;
  }
  const [, ofKey] = STRIPE_KEY.exec(key) ?? [];
  if (ofKey === undefined) {
    read.fail('STRIPE_SECRET_KEY must be a secret or a restricted key: sk_..., rk_...');
  } else if (ofKey !== mode) {
    read.fail(
      `STRIPE_SECRET_KEY is of ${ofKey} mode, and STRIPE_MODE is ${mode}: set the one that is meant`,
    );
  }
}
