import { loadApiConfig, loadIngestConfig, loadSimulatorConfig } from '../../platform/config';

const ADDRESSES = { REDIS_ADDR: 'redis:6379', KAFKA_ADDR: 'k1:9092, k2:9092' };

describe('the configuration of a process', () => {
  test('needs nothing but addresses', () => {
    expect(loadApiConfig(ADDRESSES)).toMatchObject({
      redisAddr: 'redis:6379',
      kafkaAddrs: ['k1:9092', 'k2:9092'],
      port: 8080,
      host: '127.0.0.1',
      claimTtlMs: 600_000,
      temporalUiUrl: undefined,
      production: false,
      rateLimit: undefined,
    });
  });

  test('tells all its faults at once', () => {
    const faulty = {
      REDIS_ADDR: 'nowhere',
      PORT: '70000',
      LOG_LEVEL: 'loud',
      IDEMPOTENCY_TTL: '1.5',
      DEFAULT_CURRENCY: 'dollars',
      TEMPORAL_UI_URL: 'not a url',
      ENGINE_MODE: 'prod',
    };
    const load = () => loadApiConfig(faulty);
    for (const name of [...Object.keys(faulty), 'KAFKA_ADDR']) expect(load).toThrow(name);
  });

  test.each([
    ['IDEMPOTENCY_TTL', '-1'],
    ['ORDER_RETENTION', 'forever'],
    ['DEFAULT_PRICE_MINOR', '0'],
    ['RATE_LIMIT_REQUESTS', '-1'],
    ['RATE_LIMIT_SECONDS', '0'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => loadApiConfig({ ...ADDRESSES, [name]: value })).toThrow(`${name} must be`);
  });

  test('opens the gateway to operators with a token, which is never quoted', () => {
    expect(loadApiConfig(ADDRESSES).operator).toBeUndefined();
    const token = 'sixteen-letters-';
    const env = { ...ADDRESSES, OPERATOR_TOKEN: token };
    expect(() => loadApiConfig(env)).toThrow('TEMPORAL_ADDRESS is required');
    const { operator } = loadApiConfig({ ...env, TEMPORAL_ADDRESS: 'temporal:7233' });
    expect(operator).toMatchObject({ token, temporalAddress: 'temporal:7233' });
    for (const wrong of ['too-short', 'with a space in its midst']) {
      const load = () => loadApiConfig({ ...env, OPERATOR_TOKEN: wrong });
      expect(load).toThrow('OPERATOR_TOKEN must be at least 16 characters without a space');
      expect(load).not.toThrow(wrong);
    }
  });

  test('asks of each process only what it uses', () => {
    expect(() => loadIngestConfig(ADDRESSES)).toThrow('TEMPORAL_ADDRESS is required');
    expect(loadSimulatorConfig({ PAYMENT_LEDGER_FILE: 'ledger.jsonl' }).declineRate).toBe(0.1);
  });
});
