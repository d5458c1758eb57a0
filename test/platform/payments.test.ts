import { inspect } from 'node:util';
import { loadPayments } from '../../platform/config';

const STRIPE = { PAYMENT_PROVIDER: 'stripe', STRIPE_SECRET_KEY: 'sk_test_hidden' };
const LIVE = { ...STRIPE, STRIPE_SECRET_KEY: 'rk_live_hidden', ENGINE_MODE: 'production' };
const WEBHOOKS = { STRIPE_WEBHOOK_SECRET: 'whsec_hidden' };

describe('the payment provider', () => {
  test('is the simulator, unless another one is chosen; not in production', () => {
    const simulator = { PAYMENT_URL: 'http://p/' };
    expect(loadPayments(simulator)).toEqual({ provider: 'simulator', url: 'http://p' });
    const production = { ...simulator, ENGINE_MODE: 'production' };
    expect(() => loadPayments(production)).toThrow('PAYMENT_PROVIDER is required when');
    expect(() => loadPayments({ ...production, PAYMENT_PROVIDER: 'simulator' })).toThrow(
      'PAYMENT_PROVIDER must not be simulator when',
    );
  });

  test('is Stripe with a key of the mode that is meant', () => {
    expect(loadPayments(STRIPE)).toMatchObject({ provider: 'stripe', methods: undefined });
    const allowed = { ...LIVE, ENGINE_MODE: 'development', STRIPE_MODE: 'live' };
    for (const env of [LIVE, allowed]) expect(loadPayments(env)).toMatchObject({});
  });

  test('knows the secrets of webhooks, also while one is replaced', () => {
    const secretsOf = (STRIPE_WEBHOOK_SECRET?: string) => {
      const settings = loadPayments({ ...STRIPE, STRIPE_WEBHOOK_SECRET });
      return settings.provider === 'stripe' && settings.webhookSecrets.map((one) => one.reveal());
    };
    expect(secretsOf()).toEqual([]);
    expect(secretsOf('whsec_new, whsec_old')).toEqual(['whsec_new', 'whsec_old']);
  });

  test.each<[string, Record<string, string>]>([
    ['PAYMENT_PROVIDER must be one of simulator, stripe', { PAYMENT_PROVIDER: 'paypal' }],
    ['STRIPE_SECRET_KEY is set without PAYMENT_PROVIDER=stripe', { STRIPE_SECRET_KEY: 'sk_x' }],
    ['STRIPE_SECRET_KEY (or STRIPE_SECRET_KEY_FILE) is required', { PAYMENT_PROVIDER: 'stripe' }],
    ['must be a secret or a restricted key', { ...STRIPE, STRIPE_SECRET_KEY: 'pk_test_hidden' }],
    ['is of live mode, and STRIPE_MODE is test', { ...LIVE, ENGINE_MODE: 'development' }],
    ['is of test mode, and STRIPE_MODE is live', { ...LIVE, STRIPE_SECRET_KEY: 'sk_test_hidden' }],
    [
      'STRIPE_PUBLISHABLE_KEY must be a publishable key of test mode',
      { ...STRIPE, STRIPE_PUBLISHABLE_KEY: 'pk_live_hidden' },
    ],
    [
      'STRIPE_PUBLISHABLE_KEY must be a publishable key of live mode',
      { ...LIVE, STRIPE_PUBLISHABLE_KEY: 'sk_live_hidden' },
    ],
    [
      'STRIPE_WEBHOOK_SECRET must be signing secrets',
      { ...STRIPE, STRIPE_WEBHOOK_SECRET: 'whsec_ok,hidden' },
    ],
    ['STRIPE_WEBHOOK_SECRET is set without PAYMENT_PROVIDER=stripe', WEBHOOKS],
    ['STRIPE_API_URL must be an https URL', { ...LIVE, STRIPE_API_URL: 'http://stripe' }],
    ['PAYMENT_METHODS_URL must be an https URL', { ...LIVE, PAYMENT_METHODS_URL: 'http://shop' }],
    ['PAYMENT_METHODS_URL must be an http or https', { ...STRIPE, PAYMENT_METHODS_URL: 'shop:80' }],
    ['STRIPE_API_URL must be an http or https', { ...STRIPE, STRIPE_API_URL: 'stripe:80/hidden' }],
    ['STRIPE_API_URL must hold only', { ...STRIPE, STRIPE_API_URL: 'https://proxy/hidden' }],
    ['STRIPE_API_URL must hold only', { ...STRIPE, STRIPE_API_URL: 'https://proxy?hidden' }],
    ['STRIPE_API_URL must hold only', { ...STRIPE, STRIPE_API_URL: 'https://proxy#hidden' }],
    ['STRIPE_API_URL must hold only', { ...STRIPE, STRIPE_API_URL: 'https://me:hidden@proxy' }],
    ['PAYMENT_URL must be an http or https', { PAYMENT_URL: 'localhost:8090' }],
    [
      'PAYMENT_METHODS_URL must hold no password: use PAYMENT_METHODS_TOKEN',
      { ...STRIPE, PAYMENT_METHODS_URL: 'https://shop:hidden@shop/cards' },
    ],
    [
      'PAYMENT_METHODS_URL must be an http or https',
      { ...STRIPE, PAYMENT_METHODS_URL: 'shop/cards?key=hidden' },
    ],
    ['PAYMENT_METHODS_TOKEN is set without', { ...STRIPE, PAYMENT_METHODS_TOKEN: 'hidden' }],
  ])('is refused with a reason: %s', (problem, env) => {
    const load = () => loadPayments(env);
    expect(load).toThrow(problem);
    expect(load).not.toThrow('hidden');
  });

  test('never shows its secrets', () => {
    const methods = { PAYMENT_METHODS_URL: 'https://shop/cards', PAYMENT_METHODS_TOKEN: 'hidden' };
    const settings = loadPayments({ ...STRIPE, ...methods, ...WEBHOOKS });
    expect(inspect(settings, { depth: 9, showHidden: true })).not.toContain('hidden');
    expect(JSON.stringify(settings)).not.toContain('hidden');
  });
});
