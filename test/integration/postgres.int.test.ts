import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { probeDatabase } from '../../cli/doctor/probes';
import { loadDatabaseAccess } from '../../platform/config';
import { Secret } from '../../platform/config/reader';
import { createLogger } from '../../platform/logger';
import {
  closeDatabasePool,
  createDatabasePool,
  pingDatabase,
  withDatabase,
} from '../../platform/postgres';
import { startPostgres } from '../../stack/components/postgres';
import { databaseUrl } from '../support/addresses';
import { createTestArchive } from '../support/archive';
import { eventually } from '../support/eventually';
import { makeCertificates } from '../support/secured/certificates';
import { createTestComponents, type TestComponents } from '../support/secured/test-components';

const accessTo = (url: string | undefined) => loadDatabaseAccess({ DATABASE_URL: url });

describe('the PostgreSQL of the local stack', () => {
  const started: TestComponents[] = [];
  afterEach(async () => {
    for (const own of started.splice(0)) await own.stop();
  });

  /** Started on the data of an earlier one, if there is one. */
  async function start(dataDir?: string) {
    const own = await createTestComponents('postgres');
    started.push(own);
    const settings = { ...own.context.settings, dataDir: dataDir ?? own.dataDir };
    const { url } = await startPostgres({ ...own.context, settings });
    return { own, dataDir: settings.dataDir, access: accessTo(url) };
  }
  const query = (access: ReturnType<typeof accessTo>, text: string) =>
    withDatabase(access, 'test', (client) => client.query<Record<string, unknown>>(text));
  const logOf = (dataDir: string) => readFileSync(join(dataDir, 'postgres.log'), 'utf8');

  test('keeps what is committed: after a crash, when it is started again, and between two runs', async () => {
    const first = await start();
    await query(first.access, 'create table kept as select 1 as n');
    process.kill(first.own.pidOf('postgres'), 'SIGKILL');
    await eventually('it is back', async () => {
      const { rows } = await query(first.access, 'select n from kept').catch(() => ({ rows: [] }));
      return rows[0]?.['n'] === 1;
    });
    await first.own.stop();
    const second = await start(first.dataDir);
    expect((await query(second.access, 'select n from kept')).rows).toEqual([{ n: 1 }]);
  });

  test('is stopped in order, also while somebody is connected', async () => {
    const { own, dataDir, access } = await start();
    await withDatabase(access, 'test', async () => {
      await own.stop();
    });
    expect(logOf(dataDir)).toMatch(/database system is shut down\s*$/);
  });

  test('lets nobody in who cannot read the data folder', async () => {
    const { dataDir, access } = await start();
    const guess = { ...access, password: new Secret('a guess') };
    await expect(query(guess, 'select 1')).rejects.toThrow('password authentication failed');
    for (const file of [join('postgres', 'password'), 'database-url']) {
      expect(statSync(join(dataDir, file)).mode & 0o777).toBe(0o600);
    }
    const settings = await query(access, 'show fsync');
    expect(settings.rows).toEqual([{ fsync: 'on' }]);
    expect((await query(access, 'show unix_socket_directories')).rows).toEqual([
      { unix_socket_directories: '' },
    ]);
  });

  test('is reached with TLS only if certificate and name are right', async () => {
    const { dataDir, access } = await start();
    const { ca, server } = makeCertificates(dataDir);
    chmodSync(server.keyFile, 0o600);
    await query(access, `alter system set ssl_cert_file = '${server.certFile}'`);
    await query(access, `alter system set ssl_key_file = '${server.keyFile}'`);
    await query(access, 'alter system set ssl = on');
    await query(access, 'select pg_reload_conf()');
    const tls = { ca: ca.cert, client: undefined, serverName: undefined };
    const isEncrypted = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()';
    await eventually('TLS is on', async () => {
      const { rows } = await query({ ...access, tls }, isEncrypted).catch(() => ({ rows: [] }));
      return rows[0]?.['ssl'] === true;
    });
    await expect(query({ ...access, host: 'localhost', tls }, isEncrypted)).resolves.toBeDefined();
    const otherName = query({ ...access, host: '127.1', tls }, isEncrypted);
    await expect(otherName).rejects.toThrow('does not match certificate');
    const otherCa = query({ ...access, tls: { ...tls, ca: undefined } }, isEncrypted);
    await expect(otherCa).rejects.toThrow('certificate');
    const withoutTls = query({ ...accessTo(databaseUrl()), tls }, isEncrypted);
    await expect(withoutTls).rejects.toThrow('does not support SSL');
  });

  test('is made again where it was left half-way', async () => {
    const own = await createTestComponents('postgres');
    started.push(own);
    const half = join(own.dataDir, 'postgres', 'unfinished');
    mkdirSync(half, { recursive: true });
    writeFileSync(join(half, 'PG_VERSION'), '1\n');
    const { url } = await startPostgres(own.context);
    expect((await query(accessTo(url), 'select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  test('leaves the data of another major version alone, and says what to do', async () => {
    const own = await createTestComponents('postgres');
    const data = join(own.dataDir, 'postgres', 'data');
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, 'PG_VERSION'), '9\n');
    await expect(startPostgres(own.context)).rejects.toThrow(
      /was made by PostgreSQL 9, which is not on this machine: install it, or start with empty data/,
    );
    rmSync(own.dataDir, { recursive: true });
  });

  test('is the one at DATABASE_URL, where it is set and lets us in', async () => {
    const own = await createTestComponents('postgres');
    const given = (url: string) =>
      startPostgres({
        ...own.context,
        settings: { ...own.context.settings, isDatabaseGiven: true, env: { DATABASE_URL: url } },
      });
    const { host, port, database } = accessTo(databaseUrl());
    const address = `${host}:${String(port)}/${database}`;
    expect(await given(databaseUrl())).toEqual({ address, origin: 'DATABASE_URL', url: undefined });
    const refused = given(databaseUrl().replace(/:[^:]+@/, ':wrong@'));
    await expect(refused).rejects.toThrow(
      `DATABASE_URL is ${address}, but no PostgreSQL lets us in there`,
    );
    await expect(refused).rejects.not.toThrow('wrong');

    await query(accessTo(databaseUrl()), "create role guest login password 'of-the-guest'");
    const asGuest = new URL(databaseUrl());
    Object.assign(asGuest, { username: 'guest', password: 'of-the-guest', pathname: '/postgres' });
    await expect(given(asGuest.href)).rejects.toThrow(
      /we cannot make the archive's tables there \(.*permission denied for schema public\)\.$/,
    );
  }, 60_000);
});

describe('flash-sale doctor', () => {
  test('finds the database, whether it is encrypted, and what is missing in it', async () => {
    const archive = await createTestArchive({ isMigrated: false });
    try {
      const access = accessTo(archive.url);
      expect(await probeDatabase(access)).toMatchObject([
        { state: 'missing', detail: expect.stringContaining('is not migrated') as string },
      ]);
      await archive.migrate();
      expect(await probeDatabase(access)).toMatchObject([
        { state: 'ok', detail: expect.stringContaining('without TLS') as string },
      ]);
      // Another name of this machine, as one of another machine would look.
      const remote = { ...access, host: '127.1' };
      expect(await probeDatabase(remote)).toMatchObject([
        { state: 'warning', remedy: expect.stringContaining('sslmode=disable') as string },
      ]);
      const refused = probeDatabase({ ...access, password: new Secret('wrong one') });
      await expect(refused).rejects.toThrow('password authentication failed');
    } finally {
      await archive.drop();
    }
  });

  test('says where there is no archive', async () => {
    expect(await probeDatabase(undefined)).toMatchObject([{ state: 'note' }]);
  });
});

describe('connections to PostgreSQL', () => {
  const warnings: object[] = [];
  const logger = createLogger('test', 'silent');
  logger.warn = (fields: object) => warnings.push(fields);
  const pools: Pool[] = [];
  const open = (change: object = {}) => {
    const access = { ...accessTo(databaseUrl()), ...change };
    const pool = createDatabasePool(access, { name: 'test', logger });
    pools.push(pool);
    return pool;
  };
  afterEach(async () => {
    warnings.length = 0;
    await Promise.all(pools.splice(0).map(closeDatabasePool));
  });
  const pidOf = async (pool: Pool) => {
    const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid');
    return rows[0]?.pid ?? NaN;
  };

  test('bound every wait of the server, and say whose they are', async () => {
    const pool = open();
    const setting = async (name: string) => {
      const { rows } = await pool.query<Record<string, string>>(`show ${name}`);
      return rows[0]?.[name];
    };
    expect(await setting('statement_timeout')).toBe('20s');
    expect(await setting('idle_in_transaction_session_timeout')).toBe('20s');
    expect(await setting('application_name')).toBe('flash-sale test');
  });

  test.each([
    ['a wrong password', { password: new Secret('wrong one') }, 'password authentication failed'],
    ['a database that does not exist', { database: 'nowhere' }, '"nowhere" does not exist'],
  ])('are refused for good with %s', async (_, change, reason) => {
    const ping = pingDatabase(open(change));
    await expect(ping).rejects.toThrow('PostgreSQL refuses this process: ');
    await expect(ping).rejects.toThrow(reason);
    await expect(ping).rejects.not.toThrow('wrong one');
  });

  test('are replaced when the server ends one that nobody uses', async () => {
    const pool = open();
    const pid = await pidOf(pool);
    await withDatabase(accessTo(databaseUrl()), 'test', (client) =>
      client.query('select pg_terminate_backend($1)', [pid]),
    );
    await eventually('it is told', () => Promise.resolve(warnings.length > 0));
    expect(await pidOf(pool)).not.toBe(pid);
  });

  test('are given up when the server is frozen, and a shutdown does not wait for it', async () => {
    const pool = open();
    const pid = await pidOf(pool);
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(pingDatabase(pool)).rejects.toThrow('a query has taken more than 2000 ms');
      await closeDatabasePool(pools.pop() ?? pool);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
});
