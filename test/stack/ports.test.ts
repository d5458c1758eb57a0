import { createServer, type Server } from 'node:net';
import { claimPorts, freePorts, loadStackSettings, ownPorts } from '../../stack/settings';
const { signal } = new AbortController();
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

function listen(port: number, host = '127.0.0.1'): Promise<void> {
  const server = createServer();
  servers.push(server);
  return new Promise((resolve) => server.listen(port, host, resolve));
}

describe('claiming the ports', () => {
  test('names every port that is taken, and the variable that moves it', async () => {
    const ports = await freePorts();
    await Promise.all([listen(ports.gateway), listen(ports.redis)]);
    await expect(
      claimPorts(ports, ['redis', 'kafka', 'gateway'], { patient: false, signal }),
    ).rejects.toThrow(`port ${ports.redis} (REDIS_PORT), port ${ports.gateway} (PORT);`);
  });

  test('detects a listener on all addresses', async () => {
    const ports = await freePorts();
    await listen(ports.kafka, '0.0.0.0');
    await expect(claimPorts(ports, ['kafka'], { patient: false, signal })).rejects.toThrow(
      'KAFKA_PORT',
    );
  });

  test('refuses one port for two parts', async () => {
    const ports = await freePorts();
    const same = { ...ports, payment: ports.gateway };
    await expect(
      claimPorts(same, ['gateway', 'payment'], { patient: false, signal }),
    ).rejects.toThrow(`port ${ports.gateway} (PAYMENT_PORT)`);
  });

  test('waits for the ports of a stack that is just ending', async () => {
    const ports = await freePorts();
    await listen(ports.redis);
    const claim = claimPorts(ports, ['redis'], { patient: true, signal });
    servers.splice(0).forEach((server) => server.close());
    await expect(claim).resolves.toBeUndefined();
  });
});

describe('the settings of the stack', () => {
  test('reject an invalid port, with the name of the variable', () => {
    expect(() => loadStackSettings({ REDIS_PORT: '0' }, '/')).toThrow(
      'REDIS_PORT must be a port from 1 to 65535, not "0".',
    );
  });

  test('need no port for a system whose address is given', () => {
    const given = { REDIS_ADDR: 'r:1', KAFKA_ADDR: 'k:1,k:2', PAYMENT_URL: 'http://p' };
    const portsOf = (env: Record<string, string>) =>
      ownPorts(loadStackSettings(env, '/'), { engine: true });
    expect(portsOf(given)).toEqual([
      ...['temporal', 'temporalUi', 'postgres', 'gateway', 'admin', 'ingest', 'worker', 'archiver'],
    ]);
    for (const name of ['DATABASE_URL', 'DATABASE_URL_FILE']) {
      expect(portsOf({ ...given, [name]: 'x' })).not.toContain('postgres');
    }
  });
});
