import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { composeFaults } from './rules/compose-rules';
import { composeSchemaFaults } from './rules/compose-schema';
import { parseCompose, readText, ROOT, spoiled, type Service } from './rules/files';

const COMPOSE = readText('docker-compose.yml');
const KAFKA = readText('compose.kafka.yaml');
const file = parseCompose(COMPOSE);

describe('docker-compose.yml', () => {
  test('is what the Compose specification allows', async () => {
    expect(await composeSchemaFaults(COMPOSE)).toEqual([]);
  });

  test('keeps our rules', () => {
    expect(composeFaults(file)).toEqual([]);
  });

  test('gives every variable a default, and .env.example names each', () => {
    const example = readText('.env.example');
    for (const text of [COMPOSE, KAFKA]) {
      const used = [...text.matchAll(/(?<!\$)\$\{(\w+)([^}]*)\}/g)];
      expect(used.filter(([, , rest]) => !rest?.startsWith(':-'))).toEqual([]);
      for (const [, name] of used) expect(example).toMatch(new RegExp(`^# ${name}=`, 'm'));
    }
  });

  test('has a Redis that keeps what it has acknowledged', () => {
    const command = file.services['redis']?.command?.join(' ');
    expect(command).toContain(
      '--appendonly yes --appendfsync always --maxmemory-policy noeviction',
    );
  });
});

describe('compose.kafka.yaml', () => {
  test('is what the Compose specification allows', async () => {
    expect(await composeSchemaFaults(KAFKA)).toEqual([]);
  });

  test('changes nothing but the broker, which keeps our rules', () => {
    const override = parseCompose(KAFKA);
    expect(Object.keys(override.services)).toEqual(['redpanda']);
    const merged = {
      services: {
        ...file.services,
        redpanda: { ...file.services['redpanda'], ...override.services['redpanda'] },
      },
      volumes: { ...file.volumes, ...override.volumes },
    };
    expect(composeFaults(merged)).toEqual([]);
  });
});

describe('the checks of compose files', () => {
  test.each([
    ['a mistyped field', '    init: true', '    initt: true'],
    ['a value of the wrong kind', 'pids_limit: 512', 'pids_limit: [many]'],
    ['a port that is taken twice', '127.0.0.1:${PAYMENT_PORT:-8090}:8090', '127.0.0.1:6379:8090'],
  ])('find %s', async (what, right, wrong) => {
    const flat = what.startsWith('a port')
      ? COMPOSE.replace('${REDIS_PORT:-6379}', '6379')
      : COMPOSE;
    // The fields of a template count only where it is used, so the fault is planted into a service.
    const planted = flat.includes(right)
      ? flat.replace(right, wrong)
      : flat.replace("    user: '999'", `    user: '999'\n${wrong}`);
    expect(planted).not.toBe(COMPOSE);
    expect(await composeSchemaFaults(planted)).not.toEqual([]);
  });

  test.each<[string, string, (redis: Service) => void]>([
    [
      'an unpinned tag',
      'redis: redis:latest is not pinned to a version',
      (redis) => {
        redis.image = 'redis:latest';
      },
    ],
    [
      'a missing tag',
      'redis: redis has no tag',
      (redis) => {
        redis.image = 'redis';
      },
    ],
    [
      'a missing health check',
      'redis has no health check',
      (redis) => {
        delete redis.healthcheck;
      },
    ],
    [
      'a missing memory limit',
      'redis may take all memory',
      (redis) => {
        delete redis.mem_limit;
      },
    ],
    [
      'a root that can be written',
      'redis may write into its image',
      (redis) => {
        redis.read_only = false;
      },
    ],
    [
      'capabilities',
      'redis keeps capabilities',
      (redis) => {
        redis.cap_drop = ['NET_RAW'];
      },
    ],
    [
      'a port open to the world',
      'redis: 6379:6379 is not on loopback with a variable to move it',
      (redis) => {
        redis.ports = ['6379:6379'];
      },
    ],
    [
      'a dependency that is only started',
      'redis waits for temporal by service_started',
      (redis) => {
        redis.depends_on = { temporal: { condition: 'service_started' } };
      },
    ],
    [
      'a volume that nobody declares',
      'redis: the volume data is not declared',
      (redis) => {
        redis.volumes = ['data:/data'];
      },
    ],
  ])('find %s', (_what, fault, spoil) => {
    const planted = spoiled(file, ({ services }) => {
      if (services['redis']) spoil(services['redis']);
    });
    expect(composeFaults(planted)).toEqual([fault]);
  });
});

test('npm run test:compose prints one sentence if there is no Docker engine', () => {
  const script = join(ROOT, 'test', 'container', 'run.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script], {
    env: { PATH: '/nowhere' },
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(/^No Docker engine responds.*\n$/);
});
