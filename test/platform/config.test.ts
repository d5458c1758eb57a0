import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import {
  loadApiConfig,
  loadArchiverConfig,
  loadDatabaseAccess,
  loadIngestConfig,
  loadSetupConfig,
  loadSimulatorConfig,
  loadTemporalAccess,
  loadWorkerConfig,
} from '../../platform/config';

const ADDRESSES = {
  REDIS_ADDR: 'redis:6379',
  KAFKA_ADDR: 'k1:9092, k2:9092',
  TEMPORAL_ADDRESS: 'temporal:7233',
  PAYMENT_URL: 'http://payments:8090',
};

describe('the configuration of a process', () => {
  test('needs nothing but addresses', () => {
    expect(loadApiConfig(ADDRESSES)).toMatchObject({
      redis: { addrs: ['redis:6379'], cluster: false, password: undefined, tls: undefined },
      kafka: { addrs: ['k1:9092', 'k2:9092'], sasl: undefined, tls: undefined },
      port: 8080,
      adminPort: 9100,
      host: '127.0.0.1',
      claimTtlMs: 600_000,
      temporalUiUrl: undefined,
      temporal: { address: 'temporal:7233', namespace: 'default', security: undefined },
      production: false,
      rateLimit: undefined,
    });
  });

  test('reports all problems at once', () => {
    const faulty = {
      REDIS_ADDR: 'nowhere',
      PORT: '70000',
      LOG_LEVEL: 'loud',
      IDEMPOTENCY_TTL: '1.5',
      DEFAULT_CURRENCY: 'dollars',
      TEMPORAL_UI_URL: 'not a url',
      TEMPORAL_ADDRESS: 'http://temporal',
      ENGINE_MODE: 'prod',
    };
    const load = () => loadApiConfig(faulty);
    for (const name of [...Object.keys(faulty), 'KAFKA_ADDR']) expect(load).toThrow(name);
  });

  test.each([{ PORT: '9100' }, { ADMIN_PORT: '8080' }, { PORT: '81', ADMIN_PORT: '81' }])(
    'refuses one port for buyers and operators: %p',
    (ports) => {
      expect(() => loadApiConfig({ ...ADDRESSES, ...ports })).toThrow(
        /ADMIN_PORT must differ from PORT, \d+/,
      );
    },
  );

  test.each([
    ['ADMIN_PORT', '0'],
    ['IDEMPOTENCY_TTL', '-1'],
    ['ORDER_RETENTION', 'forever'],
    ['DEFAULT_PRICE_MINOR', '0'],
    ['RATE_LIMIT_REQUESTS', '-1'],
    ['RATE_LIMIT_ITEM_REQUESTS', 'few'],
    ['RATE_LIMIT_SECONDS', '0'],
    ['PUBLIC_URL', 'shop.test'],
    ['PUBLIC_URL', 'ftp://shop.test'],
    ['PUBLIC_URL', 'https://shop.test/"?x'],
    ['ACCESS_LOG', 'yes'],
    ['TRUSTED_PROXIES', 'proxy.internal'],
    ['TRUSTED_PROXIES', '10.0.0.0/33'],
    ['TRUSTED_PROXIES', '10.0.0.1,,10.0.0.2'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => loadApiConfig({ ...ADDRESSES, [name]: value })).toThrow(`${name} must be`);
  });

  test.each([
    ['RATE_LIMIT_REQUEST', 'RATE_LIMIT_REQUESTS'],
    ['RATE_LIMIT_PER_USER', 'RATE_LIMIT_REQUESTS'],
    ['IDEMPOTENCY_SECONDS', 'IDEMPOTENCY_TTL'],
    ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
    ['OPERATORS_TOKEN', 'OPERATOR_TOKEN'],
    ['REDIS_ADRR', 'REDIS_ADDR'],
    ['KAFKA_ADDRS', 'KAFKA_ADDR'],
    ['ENGINE_MDOE', 'ENGINE_MODE'],
    ['API_PROCESS', 'API_PROCESSES'],
    ['REDIS_PASSWROD_FILE', 'REDIS_PASSWORD_FILE'],
    // Of another process: one file may be the environment of all.
    ['OPEN_ORDER_MAX', 'OPEN_ORDERS_MAX'],
  ])('refuses %s, which nobody reads, and names %s', (name, meant) => {
    const load = () => loadApiConfig({ ...ADDRESSES, [name]: '5' });
    expect(load).toThrow(`${name} is no variable of this engine: is ${meant} meant?`);
  });

  test.each([
    ['of shells and systems', { HOSTNAME: 'x', HOSTS: 'x', POST: 'x', LOGLEVEL: 'x', TERM: 'x' }],
    ['of Redis', { REDIS_HOST: 'x', REDIS_VERSION: '7', REDIS_URL: 'x', REDIS_USER: 'x' }],
    ['of Kafka', { KAFKA_HOME: 'x', KAFKA_HOST: 'x', KAFKA_OPTS: 'x', KAFKA_HEAP_OPTS: 'x' }],
    ['of Temporal', { TEMPORAL_CLI_ADDRESS: 'x', TEMPORAL_HOST: 'x', TEMPORAL_HOME: 'x' }],
    ['of other processes', { OPEN_ORDERS_MAX: '5', AUDIT_EVERY: 'x', FLASH_SALE_DATA: 'x' }],
    [
      'of Kubernetes, for services with names like ours',
      {
        REDIS_PORT: 'tcp://10.0.0.1:6379',
        REDIS_PORT_6379_TCP: 'tcp://10.0.0.1:6379',
        REDIS_PORT_6379_TCP_ADDR: '10.0.0.1',
        REDIS_SERVICE_HOST: '10.0.0.1',
        REDIS_SERVICE_PORT_REDIS: '6379',
        API_PORT: 'tcp://10.0.0.1:80',
        PAYMENTS_PORT: 'tcp://10.0.0.1:80',
        FLASH_SALE_API_PORT: 'tcp://10.0.0.1:80',
        FLASH_SALE_API_PORT_80_TCP_PORT: '80',
        FLASH_SALE_API_SERVICE_PORT: '80',
        RATE_LIMIT_SERVICE_HOST: '10.0.0.1',
      },
    ],
  ])('leaves variables alone that are %s', (_, foreign) => {
    expect(loadApiConfig({ ...ADDRESSES, ...foreign }).port).toBe(8080);
  });

  test('rejects an ORDER_RETENTION shorter than twice IDEMPOTENCY_TTL', () => {
    const load = (orderRetention: string) =>
      loadApiConfig({ ...ADDRESSES, IDEMPOTENCY_TTL: '600', ORDER_RETENTION: orderRetention });
    expect(() => load('1199')).toThrow(
      'ORDER_RETENTION must be at least twice IDEMPOTENCY_TTL, so 1200, not 1199',
    );
    expect(load('1200').orderRetentionMs).toBe(1_200_000);
  });

  test('serves operators with a token, which no error quotes', () => {
    expect(loadApiConfig(ADDRESSES).operator).toBeUndefined();
    const token = 'sixteen-letters-';
    const { operator } = loadApiConfig({ ...ADDRESSES, OPERATOR_TOKEN: token });
    expect(operator).toMatchObject({ temporal: { address: 'temporal:7233' } });
    expect(operator?.token?.reveal()).toBe(token);
    for (const wrong of ['too-short', 'with a space in its midst']) {
      const load = () => loadApiConfig({ ...ADDRESSES, OPERATOR_TOKEN: wrong });
      expect(load).toThrow('OPERATOR_TOKEN must be at least 16 characters without a space');
      expect(load).not.toThrow(wrong);
    }
  });

  test('serves operators with a file of credentials, which must be readable', () => {
    const { operator } = loadApiConfig({ ...ADDRESSES, OPERATORS_FILE: __filename });
    expect(operator).toMatchObject({ file: __filename, token: undefined });
    expect(() => loadApiConfig({ ...ADDRESSES, OPERATORS_FILE: '/nowhere/x', PORT: '0' })).toThrow(
      /PORT must be[^]*OPERATORS_FILE: \/nowhere\/x cannot be read/,
    );
  });

  test('requires of each process only what it uses', () => {
    expect(() => loadWorkerConfig({ ...ADDRESSES, PAYMENT_URL: '' })).toThrow(
      'PAYMENT_URL is required',
    );
    expect(() => loadIngestConfig({ ...ADDRESSES, TEMPORAL_ADDRESS: '' })).toThrow(
      'TEMPORAL_ADDRESS is required',
    );
    expect(loadSimulatorConfig({ PAYMENT_LEDGER_FILE: 'ledger.jsonl' }).declineRate).toBe(0.1);
  });
});

describe('how buyers are known', () => {
  const SECRET = 'hidden secret with its 32 bytes.';
  const WITH_SECRET = {
    ...ADDRESSES,
    BUYER_AUTH: 'jwt',
    JWT_SECRET: SECRET,
    JWT_ISSUER: 'https://id.test/',
    JWT_AUDIENCE: 'shop',
    JWT_ALGORITHMS: 'HS256',
  };
  const WITH_JWKS = {
    ...WITH_SECRET,
    JWT_SECRET: '',
    JWT_JWKS_URL: 'https://id.test/jwks.json',
    JWT_ALGORITHMS: 'ES256, RS256',
  };

  test('is by their own word, unless it is set', () => {
    expect(loadApiConfig(ADDRESSES).jwt).toBeUndefined();
    expect(loadApiConfig({ ...ADDRESSES, BUYER_AUTH: 'trusted' }).jwt).toBeUndefined();
  });

  test('has to be chosen in production', () => {
    const stripe = { PAYMENT_PROVIDER: 'stripe', STRIPE_SECRET_KEY: 'sk_live_1' };
    const production = { ...ADDRESSES, ...stripe, ENGINE_MODE: 'production' };
    expect(() => loadApiConfig(production)).toThrow('BUYER_AUTH must be set when ENGINE_MODE is');
    expect(loadApiConfig({ ...production, BUYER_AUTH: 'trusted' }).production).toBe(true);
    expect(loadApiConfig({ ...production, ...WITH_JWKS }).jwt).toBeDefined();
    // The other processes have nothing to do with buyers.
    const database = { DATABASE_URL: 'postgres://e@localhost/a' };
    const others = { ...production, ...database };
    expect(loadIngestConfig(others).production).toBe(true);
    expect(loadWorkerConfig(others).production).toBe(true);
  });

  test('is by tokens of a secret, which is never shown, or of a JWKS', () => {
    const { jwt } = loadApiConfig(WITH_SECRET);
    expect(jwt).toMatchObject({
      algorithms: ['HS256'],
      issuer: 'https://id.test/',
      audience: 'shop',
      clockToleranceSeconds: 5,
    });
    expect(inspect(jwt, { depth: 9, showHidden: true })).not.toContain('hidden');
    expect(jwt && 'secret' in jwt.key && jwt.key.secret.reveal()).toBe(SECRET);
    expect(loadApiConfig({ ...WITH_JWKS, JWT_CLOCK_TOLERANCE: '0' }).jwt).toMatchObject({
      key: { jwksUrl: 'https://id.test/jwks.json' },
      algorithms: ['ES256', 'RS256'],
      clockToleranceSeconds: 0,
    });
  });

  test.each<[string, string, Record<string, string>]>([
    ['HS256 with a JWKS', 'with JWT_JWKS_URL, not "HS256"', { JWT_ALGORITHMS: 'ES256,HS256' }],
    ['none', 'not "none"', { JWT_ALGORITHMS: 'none' }],
    ['an algorithm in small letters', 'not "es256"', { JWT_ALGORITHMS: 'es256' }],
    ['no algorithm', 'JWT_ALGORITHMS is required', { JWT_ALGORITHMS: '' }],
    ['no issuer', 'JWT_ISSUER is required', { JWT_ISSUER: '' }],
    ['no audience', 'JWT_AUDIENCE is required', { JWT_AUDIENCE: '' }],
    ['both keys', 'and not both', { JWT_SECRET: SECRET }],
    ['neither key', 'needs either', { JWT_JWKS_URL: '' }],
    ['a JWKS that is no URL', 'JWT_JWKS_URL must be an http', { JWT_JWKS_URL: 'id.test' }],
    ['a JWKS in a file', 'must begin with https://', { JWT_JWKS_URL: 'file:///jwks.json' }],
    [
      'plain http in production',
      'must begin with https://',
      { JWT_JWKS_URL: 'http://id.test/jwks', ENGINE_MODE: 'production' },
    ],
    ['a long tolerance', 'JWT_CLOCK_TOLERANCE must be', { JWT_CLOCK_TOLERANCE: '301' }],
    ['another mode', 'BUYER_AUTH must be one of', { BUYER_AUTH: 'none' }],
  ])('is refused with %s', (_, fault, change) => {
    const load = () => loadApiConfig({ ...WITH_JWKS, ...change });
    expect(load).toThrow(fault);
    expect(load).not.toThrow('hidden');
  });

  test('is refused with a public-key algorithm or a short secret', () => {
    const load = (change: object) => () => loadApiConfig({ ...WITH_SECRET, ...change });
    expect(load({ JWT_ALGORITHMS: 'HS256,RS256' })).toThrow('with JWT_SECRET, not "RS256"');
    expect(load({ JWT_ALGORITHMS: 'HS512' })).toThrow('at least 64 bytes for HS512, not 32');
    expect(load({ JWT_SECRET: 'hidden' })).toThrow('at least 32 bytes for HS256, not 6');
    expect(load({ JWT_SECRET: 'hidden' })).not.toThrow('hidden');
  });

  test('must be said when there are settings of tokens, which may be those of another program', () => {
    const unsaid = { ...WITH_SECRET, BUYER_AUTH: '' };
    expect(() => loadApiConfig(unsaid)).toThrow('JWT_* are set without BUYER_AUTH');
    expect(loadApiConfig({ ...WITH_SECRET, BUYER_AUTH: 'trusted' }).jwt).toBeUndefined();
  });

  test('reports all problems at once', () => {
    const load = () => loadApiConfig({ ...ADDRESSES, BUYER_AUTH: 'jwt', PORT: '0' });
    for (const name of ['JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_ALGORITHMS', 'JWT_JWKS_URL', 'PORT']) {
      expect(load).toThrow(name);
    }
  });
});

describe('the pattern of user_ids', () => {
  const UUID = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
  const load = (pattern: string) =>
    loadApiConfig({ ...ADDRESSES, USER_ID_PATTERN: pattern }).userIdPattern;

  test('is not there unless it is set', () => {
    expect(loadApiConfig(ADDRESSES).userIdPattern).toBeUndefined();
  });

  test.each([
    [UUID, '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21', '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21x'],
    ['u-\\d+', 'u-7', 'xu-7'],
    ['^u-\\d+$', 'u-7', 'u-7x'],
    ['a|b', 'b', 'ab'],
    ['[a-z]+-[a-z]+', 'ab-cd', 'ab'],
    ['(?:cus|acct)_[A-Za-z0-9]{14,24}', 'cus_9s6XKzkNRiz8i3', 'cus_9s6X'],
    ['\\p{Lu}{2}[\\d.]*(?:-x)?', 'AB1.2-x', 'Ab1'],
  ])('has to match the whole of an id: %s', (pattern, match, other) => {
    expect([load(pattern)?.test(match), load(pattern)?.test(other)]).toEqual([true, false]);
  });

  test.each(['[a-z', '(', 'a)|(b', '*', 'u\\-1', 'a{2,1}'])(
    'is refused if it is none: %s',
    (pattern) => {
      expect(() => load(pattern)).toThrow('USER_ID_PATTERN must be a regular expression');
    },
  );

  test.each(['(?=u)u+', '(?<!a)u', '(?<id>u)', '(u)\\1'])(
    'is refused if its cost is not known: %s',
    (pattern) => {
      expect(() => load(pattern)).toThrow('USER_ID_PATTERN must have no look-around');
    },
  );

  test.each([
    '(a+)+',
    '(?:a|a)*',
    '(?:a|aa)+',
    '(?:\\w*-?)*',
    '(?:[a-z]+-){3,}',
    '((a?){9}){9}',
    '\\w*\\w*\\w*\\w*',
    '(?:(?:x|[)(]+)b){9}',
  ])('is refused if one id could stop the gateway: %s', (pattern) => {
    expect(() => load(pattern)).toThrow('USER_ID_PATTERN must not be matched in more than');
  });
});

describe('what it takes to connect', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flash-sale-'));
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test('is read from variables, and from files without the newline at their end', () => {
    const env = {
      REDIS_ADDR: 'r1:6379,r2:6379',
      REDIS_CLUSTER: 'true',
      REDIS_USERNAME: 'sale',
      REDIS_PASSWORD_FILE: file('redis', 'hidden one\n'),
      KAFKA_ADDR: 'k1:9092',
      KAFKA_TLS: 'true',
      KAFKA_TLS_CA_FILE: file('ca', 'the authority'),
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'engine',
      KAFKA_SASL_PASSWORD: 'hidden two',
      TEMPORAL_ADDRESS: 't:7233',
      PAYMENT_URL: 'http://payments:8090',
    };
    const { redis, kafka } = loadApiConfig(env);
    expect(redis).toMatchObject({ addrs: ['r1:6379', 'r2:6379'], cluster: true, username: 'sale' });
    expect(redis.password?.reveal()).toBe('hidden one');
    expect(kafka.tls).toEqual({ ca: 'the authority', client: undefined, serverName: undefined });
    expect(kafka.sasl).toMatchObject({ mechanism: 'SCRAM-SHA-512', username: 'engine' });
    expect(kafka.sasl?.password.reveal()).toBe('hidden two');
  });

  test('never shows a secret, however the configuration is printed', () => {
    const key = file('key', 'hidden key');
    const config = loadWorkerConfig({
      ...ADDRESSES,
      TEMPORAL_ADDRESS: 't:7233',
      PAYMENT_URL: 'http://p',
      REDIS_PASSWORD: 'hidden redis',
      KAFKA_SASL_MECHANISM: 'PLAIN',
      KAFKA_SASL_USERNAME: 'engine',
      KAFKA_SASL_PASSWORD: 'hidden kafka',
      KAFKA_TLS: 'true',
      KAFKA_TLS_CERT: 'a certificate',
      KAFKA_TLS_KEY_FILE: key,
      TEMPORAL_API_KEY: 'hidden api key',
    });
    const { redis, kafka, temporal } = config;
    const secrets = [redis.password, kafka.sasl?.password, kafka.tls?.client?.key];
    expect(secrets.map((secret) => secret?.reveal())).toEqual([
      'hidden redis',
      'hidden kafka',
      'hidden key',
    ]);
    expect(temporal.security?.reveal()).toMatchObject({ tls: true, apiKey: 'hidden api key' });
    const printed = [JSON.stringify(config), inspect(config, { depth: 9, showHidden: true })];
    for (const text of [...printed, ...secrets.map(String)]) expect(text).not.toContain('hidden');
  });

  test('reports all problems at once, and quotes no secret', () => {
    const faulty = {
      ...ADDRESSES,
      REDIS_ADDR: 'r1:6379,r2:6379',
      REDIS_PASSWORD: 'hidden',
      REDIS_PASSWORD_FILE: file('also', 'hidden too'),
      REDIS_TLS_CA_FILE: join(folder, 'nowhere'),
      REDIS_TLS_SERVER_NAME: 'redis.test',
      KAFKA_TLS: 'true',
      KAFKA_TLS_KEY: 'hidden key',
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-256',
      TEMPORAL_ADDRESS: 't:7233',
      TEMPORAL_TLS_CLIENT_CERT_PATH: file('cert', 'a certificate'),
      TEMPORAL_TLS_DISABLE_HOST_VERIFICATION: 'true',
    };
    const load = () => loadIngestConfig(faulty);
    for (const problem of [
      'for a Redis Cluster set REDIS_CLUSTER=true',
      'REDIS_PASSWORD and REDIS_PASSWORD_FILE are both set',
      'REDIS_TLS_CA_FILE',
      'REDIS_TLS_* are set without REDIS_TLS=true',
      'KAFKA_TLS_CERT and KAFKA_TLS_KEY belong together',
      'KAFKA_SASL_USERNAME is required',
      'KAFKA_SASL_PASSWORD is required',
      'TEMPORAL_TLS_CLIENT_CERT_* and TEMPORAL_TLS_CLIENT_KEY_* belong together',
      'TEMPORAL_TLS_DISABLE_HOST_VERIFICATION is not honoured',
    ]) {
      expect(load).toThrow(problem);
    }
    expect(load).not.toThrow('hidden');
  });

  test('to Temporal comes from a profile only where one is asked for by name', () => {
    const toml = file(
      'temporal.toml',
      '[profile.sale]\naddress = "cloud:7233"\nnamespace = "sale"',
    );
    const asked = { TEMPORAL_CONFIG_FILE: toml, TEMPORAL_PROFILE: 'sale' };
    expect(loadTemporalAccess(asked)).toMatchObject({ address: 'cloud:7233', namespace: 'sale' });
    const overridden = { ...asked, TEMPORAL_NAMESPACE: 'other' };
    expect(loadTemporalAccess(overridden)).toMatchObject({ namespace: 'other' });
    expect(() => loadTemporalAccess({ ...asked, TEMPORAL_PROFILE: 'none' })).toThrow("'none'");
    mkdirSync(join(folder, 'temporalio'));
    writeFileSync(
      join(folder, 'temporalio', 'temporal.toml'),
      '[profile.default]\naddress = "x:1"',
    );
    expect(() => loadTemporalAccess({ XDG_CONFIG_HOME: folder })).toThrow(
      'TEMPORAL_ADDRESS is required',
    );
  });
});

describe('the way to PostgreSQL', () => {
  const load = (url: string, more: object = {}) =>
    loadArchiverConfig({ ...ADDRESSES, DATABASE_URL: url, ...more }).database;
  /** In parts: whole, it would be taken for one that somebody has left here. */
  const SIGNED_IN = 'engine:hidden@db.test';
  const ARCHIVE = `postgres://${SIGNED_IN}/archive`;
  const VERIFIED = { ca: undefined, client: undefined, serverName: undefined };

  test('is a URL, whose password may have any characters, percent-encoded', () => {
    const { password, ...server } = load(
      `postgresql://${SIGNED_IN.replace('hidden', 'p%40ss%2Fw')}:6432/archive`,
    );
    expect(server).toEqual({
      host: 'db.test',
      port: 6432,
      database: 'archive',
      user: 'engine',
      tls: VERIFIED,
    });
    expect(password?.reveal()).toBe('p@ss/w');
    expect(load('postgres://engine@db.test/archive')).toMatchObject({
      port: 5432,
      password: undefined,
    });
  });

  test('comes from a file as well', () => {
    const folder = mkdtempSync(join(tmpdir(), 'flash-sale-'));
    const file = join(folder, 'url');
    writeFileSync(file, `${ARCHIVE}\n`);
    expect(loadDatabaseAccess({ DATABASE_URL_FILE: file })).toMatchObject({ database: 'archive' });
    rmSync(folder, { recursive: true });
  });

  test.each([
    ['another machine', ARCHIVE, VERIFIED],
    ['an address that only looks like this machine', 'postgres://e@127.0.0.1.test/a', VERIFIED],
    ['a provider whose URL says require', `${ARCHIVE}?sslmode=require`, VERIFIED],
    ['this machine', 'postgres://e@127.0.0.1/a', undefined],
    ['this machine by name', 'postgres://e@localhost/a', undefined],
    ['this machine by IPv6', 'postgres://e@[::1]/a', undefined],
    ['a unix socket', 'postgres://e@%2Frun%2Fpostgresql/a', undefined],
    ['this machine with TLS', 'postgres://e@localhost/a?sslmode=verify-full', VERIFIED],
    ['another machine without TLS', `${ARCHIVE}?sslmode=disable`, undefined],
  ])('has the TLS of %s', (_, url, tls) => {
    expect(load(url).tls).toEqual(tls);
  });

  test('trusts an authority of its own and shows a certificate, where they are set', () => {
    const certificates = {
      DATABASE_TLS_CA: 'the authority',
      DATABASE_TLS_CERT: 'a certificate',
      DATABASE_TLS_KEY: 'hidden key',
    };
    const { tls } = load(ARCHIVE, certificates);
    expect(tls).toMatchObject({ ca: 'the authority', client: { cert: 'a certificate' } });
    expect(() => load(`${ARCHIVE}?sslmode=disable`, certificates)).toThrow('uses no TLS');
    expect(() => loadSetupConfig({ ...ADDRESSES, ...certificates })).toThrow(
      'DATABASE_TLS_* are set without DATABASE_URL',
    );
  });

  test.each([
    'db.test:5432',
    `mysql://${SIGNED_IN}/archive`,
    'postgres://db.test/archive',
    `postgres://${SIGNED_IN}/`,
    `postgres://${SIGNED_IN.replace('dd', 'd#d')}/archive`,
    `postgres://${SIGNED_IN.replace('@', '%@')}/archive`,
    `postgres://${SIGNED_IN}:1,db2.test:2/archive`,
  ])('is refused as %s, without quoting it', (url) => {
    expect(() => load(url)).toThrow('DATABASE_URL must be postgres://');
    expect(() => load(url)).not.toThrow(/hid|archive/);
  });

  test.each([
    ['sslmode=prefer', 'sslmode must be disable or verify-full, not "prefer"'],
    ['sslrootcert=x.pem', 'the parameter sslrootcert is not supported'],
    ['channel_binding=require', 'the parameter channel_binding is not supported'],
  ])('is refused with %s', (parameters, problem) => {
    expect(() => load(`${ARCHIVE}?${parameters}`)).toThrow(problem);
    expect(() => load(`${ARCHIVE}?${parameters}`)).not.toThrow('hidden');
  });

  test('is encrypted in production, unless it stays on the machine', () => {
    const production = { ENGINE_MODE: 'production' };
    const plain = () => load(`${ARCHIVE}?sslmode=disable`, production);
    expect(plain).toThrow('sslmode=disable is refused when ENGINE_MODE is production');
    expect(load(ARCHIVE, production).tls).toEqual(VERIFIED);
    expect(load('postgres://e@%2Frun%2Fpostgresql/a', production).tls).toBeUndefined();
  });

  test('is required of the archiver, and in production of the set-up', () => {
    expect(() => loadArchiverConfig(ADDRESSES)).toThrow('DATABASE_URL is required');
    expect(loadSetupConfig(ADDRESSES).database).toBeUndefined();
    expect(() => loadSetupConfig({ ...ADDRESSES, ENGINE_MODE: 'production' })).toThrow(
      'DATABASE_URL is required',
    );
  });

  test('never shows its password, however the configuration is printed', () => {
    const database = load(ARCHIVE);
    const printed = [JSON.stringify(database), inspect(database, { depth: 9, showHidden: true })];
    for (const text of printed) expect(text).not.toContain('hidden');
  });
});
