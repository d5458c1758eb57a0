import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  findOperatorToken,
  findStackAddresses,
  loadStackAccess,
} from '../../platform/config/command-line';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'flash-sale-cli-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function leaveStackFile(content: unknown, folder = 'var') {
  mkdirSync(join(root, folder), { recursive: true });
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  writeFileSync(join(root, folder, 'stack.json'), text);
}

test('without any hint it is where npm start puts it', () => {
  expect(findStackAddresses({ env: {}, root })).toMatchObject({
    addresses: {
      gateway: 'http://127.0.0.1:8080',
      admin: 'http://127.0.0.1:9100',
      redis: '127.0.0.1:6379',
      kafka: '127.0.0.1:19092',
      temporal: '127.0.0.1:7233',
      temporalUi: 'http://127.0.0.1:8233',
      payments: 'http://127.0.0.1:8090',
      database: '127.0.0.1:5432',
    },
    hasStackFile: false,
  });
});

test('the flag beats the environment, which beats the file of the running stack', () => {
  leaveStackFile({ gateway: 'http://file:1', redis: 'file:2', kafka: 'file:3' });
  const env = { FLASH_SALE_URL: 'http://env:1', REDIS_ADDR: 'env:2' };
  const found = findStackAddresses({ url: 'http://flag:1/', env, root });
  expect(found.addresses).toMatchObject({
    gateway: 'http://flag:1',
    redis: 'env:2',
    kafka: 'file:3',
    temporal: '127.0.0.1:7233',
  });
  expect(found.origins).toMatchObject({
    gateway: 'flag',
    redis: 'environment',
    kafka: 'stack file',
    temporal: 'standard',
  });
  expect(found.hasStackFile).toBe(true);
});

test('the admin listener has a flag and a variable of its own', () => {
  const env = { FLASH_SALE_ADMIN_URL: 'http://env:2' };
  expect(findStackAddresses({ url: 'http://flag:1', env, root }).addresses).toMatchObject({
    gateway: 'http://flag:1',
    admin: 'http://env:2',
  });
  const given = findStackAddresses({ adminUrl: 'http://flag:3/', env, root });
  expect([given.addresses.admin, given.origins.admin]).toEqual(['http://flag:3', 'flag']);
});

test('the token of the local stack is for its own admin listener alone', () => {
  mkdirSync(join(root, 'var'));
  writeFileSync(join(root, 'var', 'operator-token'), 'of-the-stack\n');
  const tokenFor = (env: Record<string, string>) =>
    findOperatorToken(findStackAddresses({ env, root }), env, root);
  const elsewhere = { FLASH_SALE_ADMIN_URL: 'http://elsewhere' };
  expect(tokenFor({})).toBe('of-the-stack');
  expect(tokenFor(elsewhere)).toBeUndefined();
  expect(tokenFor({ ...elsewhere, FLASH_SALE_OPERATOR_TOKEN: 'given' })).toBe('given');
});

describe('the payment provider', () => {
  const reach = (env: Record<string, string>) =>
    loadStackAccess(findStackAddresses({ env, root }), env, root).payments;
  const redis = { REDIS_ADDR: 'redis.test:6379' };

  test('is the simulator of the local stack, with the ledger of the local stack alone', () => {
    expect(reach({})).toMatchObject({ provider: 'simulator', url: 'http://127.0.0.1:8090' });
    expect(reach(redis)).toBeUndefined();
    const PAYMENT_URL = 'http://payments.test';
    expect(reach({ ...redis, PAYMENT_URL })).toMatchObject({ url: PAYMENT_URL });
  });

  test('is named by hand in production', () => {
    expect(reach({ ENGINE_MODE: 'production' })).toBeUndefined();
    expect(reach({ ENGINE_MODE: 'production', PAYMENT_URL: 'http://payments' })).toBeUndefined();
    expect(() => reach({ ENGINE_MODE: 'production', PAYMENT_PROVIDER: 'simulator' })).toThrow(
      'it takes no money',
    );
  });
});

describe('the database', () => {
  const reach = (env: Record<string, string>) => {
    const found = findStackAddresses({ env, root });
    return { found, access: loadStackAccess(found, env, root).database };
  };
  const leaveUrl = (host: string) => {
    mkdirSync(join(root, 'var'), { recursive: true });
    writeFileSync(join(root, 'var', 'database-url'), `postgres://u@${host}/stack`);
  };

  test('is there where it is given, or where the local stack has left how to reach it', () => {
    expect(reach({}).access).toBeUndefined();
    leaveUrl('localhost');
    expect(reach({}).access).toMatchObject({ database: 'stack', user: 'u' });
    const given = reach({ DATABASE_URL: 'postgres://u@db.test/given?sslmode=disable' });
    expect(given.access).toMatchObject({ database: 'given', host: 'db.test' });
  });

  test('is named without its password', () => {
    const url = new URL('postgres://db.test/given');
    Object.assign(url, { username: 'u', password: 'hidden' });
    const { found } = reach({ DATABASE_URL: url.href });
    expect(found.addresses.database).toBe('db.test:5432/given');
    expect(found.origins.database).toBe('environment');
    expect(() => reach({ DATABASE_URL: `${url.href}?x=y` })).not.toThrow('hidden');
    expect(() => reach({ DATABASE_URL: `${url.href}?x=y` })).toThrow('the parameter x is not');
  });
});

test('FLASH_SALE_DATA names the folder of the file', () => {
  leaveStackFile({ gateway: 'http://elsewhere:1' }, 'data');
  const { addresses } = findStackAddresses({ env: { FLASH_SALE_DATA: 'data' }, root });
  expect(addresses.gateway).toBe('http://elsewhere:1');
});

test('a stack that is still starting has a file, but no addresses in it yet', () => {
  leaveStackFile({ stack: { pid: 1 }, children: [] });
  const { origins, hasStackFile } = findStackAddresses({ env: {}, root });
  expect([origins.gateway, hasStackFile]).toEqual(['standard', true]);
});

test.each([
  ['--url', { url: 'localhost:8080', env: {} }],
  ['--admin-url', { adminUrl: 'localhost:9100', env: {} }],
  ['FLASH_SALE_URL', { env: { FLASH_SALE_URL: 'ftp://x' } }],
  ['REDIS_ADDR', { env: { REDIS_ADDR: 'redis://x:1' } }],
  ['KAFKA_ADDR', { env: { KAFKA_ADDR: 'a:1,b' } }],
])('%s that is no address is named in the fault', (source, given) => {
  expect(() => findStackAddresses({ ...given, root })).toThrow(`${source} must be`);
});

test('a file that is no JSON is named in the fault', () => {
  leaveStackFile('{');
  expect(() => findStackAddresses({ env: {}, root })).toThrow(/stack\.json cannot be read/);
});
