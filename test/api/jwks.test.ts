import { createJwks } from '../../api/buyers/jwks';
import {
  createKey,
  openIdentityProvider,
  type IdentityProvider,
} from '../support/identity-provider';
import { until } from './open-gateway';

const MINUTE = 60_000;

let provider: IdentityProvider;
let reported: unknown[];
let nowMs: number;

beforeEach(async () => {
  provider = await openIdentityProvider((await createKey()).jwk);
  reported = [];
  nowMs = 0;
});
afterEach(() => provider.close());

const open = (fetchMsMax?: number) =>
  createJwks(
    provider.url,
    { report: (_, error) => reported.push(error) },
    { now: () => nowMs, ...(fetchMsMax !== undefined && { fetchMsMax }) },
  );

describe('the keys of a JWKS', () => {
  test('are fetched once for everybody who waits for the first of them', async () => {
    const keys = open();
    expect(keys.current()).toBeUndefined();
    const found = await Promise.all(Array.from({ length: 20 }, keys.refetched));
    expect(new Set(found)).toEqual(new Set([keys.current()]));
    expect(keys.current()).toBeDefined();
    expect(provider.fetches()).toBe(1);
  });

  test('are fetched again after ten minutes, while the old ones are used', async () => {
    const keys = open();
    const first = await keys.refetched();
    provider.publish((await createKey()).jwk);
    nowMs = 10 * MINUTE - 1;
    expect(keys.current()).toBe(first);
    expect(provider.fetches()).toBe(1);
    nowMs = 10 * MINUTE;
    expect(keys.current()).toBe(first);
    await until(() => keys.current() !== first);
    expect(provider.fetches()).toBe(2);
  });

  test('are the same object as long as they have not changed, so that verified tokens stay known', async () => {
    const keys = open();
    const first = await keys.refetched();
    nowMs = 10 * MINUTE;
    expect(await keys.refetched()).toBe(first);
    expect(provider.fetches()).toBe(2);
  });

  test('are used for an hour while they cannot be fetched, and not longer', async () => {
    const keys = open();
    const first = await keys.refetched();
    provider.respond((_, res) => res.writeHead(500).end());
    for (nowMs = 10 * MINUTE; nowMs < 60 * MINUTE; nowMs += MINUTE) {
      expect(await keys.refetched()).toBe(first);
    }
    expect(reported.length).toBeGreaterThan(40);
    nowMs = 60 * MINUTE;
    expect(keys.current()).toBeUndefined();
    expect(await keys.refetched()).toBeUndefined();
  });

  test('are there again once they can be fetched', async () => {
    provider.respond((_, res) => res.writeHead(503).end());
    const keys = open();
    expect(await keys.refetched()).toBeUndefined();
    provider.publish((await createKey()).jwk);
    nowMs = 10_000;
    expect(await keys.refetched()).toBeDefined();
  });

  test('are not fetched more often than every ten seconds, whatever tokens name', async () => {
    const keys = open();
    for (nowMs = 0; nowMs < 30_000; nowMs += 100) await keys.refetched();
    expect(provider.fetches()).toBe(3);
  });

  test.each<[string, (url: string) => Parameters<IdentityProvider['respond']>[0]]>([
    ['HTML', () => (_, res) => res.end('<!doctype html><title>Sign in</title>')],
    ['JSON that is no JWKS', () => (_, res) => res.end('{"keys":"none"}')],
    ['null', () => (_, res) => res.end('null')],
    ['no key at all', () => (_, res) => res.end('{"keys":[]}')],
    ['an error', () => (_, res) => res.writeHead(404).end('{"keys":[]}')],
    ['a redirect', (url) => (_, res) => res.writeHead(302, { location: url }).end()],
    ['nothing, and hangs up', () => (req) => req.socket.destroy()],
    ['nothing within the limit', () => () => undefined],
    [
      'headers and nothing more',
      () => (_, res) => {
        res.writeHead(200).flushHeaders();
      },
    ],
    [
      'a body without an end',
      () => (_, res) => {
        const piece = ' '.repeat(16 * 1024);
        const write = () => {
          if (!res.destroyed) res.write(piece, write);
        };
        write();
      },
    ],
  ])('are not taken from a provider that responds with %s', async (_, respond) => {
    provider.respond(respond(provider.url));
    const keys = open(300);
    expect(await keys.refetched()).toBeUndefined();
    expect(reported).toHaveLength(1);
  });

  test('are read up to 64 KiB', async () => {
    const { jwk } = await createKey();
    const ofBytes = (bytes: number) => {
      const text = JSON.stringify({ keys: [jwk] });
      return text + ' '.repeat(bytes - text.length);
    };
    provider.respond((_, res) => res.end(ofBytes(64 * 1024 + 1)));
    const keys = open();
    expect(await keys.refetched()).toBeUndefined();
    provider.respond((_, res) => res.end(ofBytes(64 * 1024)));
    nowMs = 10_000;
    expect(await keys.refetched()).toBeDefined();
  });
});
