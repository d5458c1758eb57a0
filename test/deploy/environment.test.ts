import {
  composeEnvironments,
  environmentFaults,
  manifestEnvironments,
  unheardSettings,
} from './rules/environment-rules';
import { parseCompose, readProduction, readText, readTrial, spoiled } from './rules/files';

const ENVIRONMENTS = {
  'docker-compose.yml': composeEnvironments(parseCompose(readText('docker-compose.yml'))),
  'k8s/': manifestEnvironments(readTrial()),
  'k8s/production/': manifestEnvironments(readProduction()),
};

describe.each(Object.entries(ENVIRONMENTS))('the environment in %s', (where, environments) => {
  test('has what each process requires, and nothing that it does not know', () => {
    expect(environmentFaults(environments)).toEqual([]);
  });

  test('is looked at for every process', () => {
    const programs = environments.map(({ program }) => program.split('/')[1]).sort();
    const ours = ['api', 'archiver', 'ingest', 'setup', 'worker'];
    expect(programs).toEqual(where.includes('production') ? ours : [...ours, 'engine'].sort());
  });
});

describe('a file .env beside docker-compose.yml', () => {
  const environments = ENVIRONMENTS['docker-compose.yml'];
  const example = [...readText('.env.example').matchAll(/^# ([A-Z_]+)=/gm)].map(
    ([, variable = '']) => variable,
  );

  test('reaches every process with all that it may say', () => {
    expect(unheardSettings(environments, example)).toEqual([]);
  });

  test('is known not to reach one whose container does not name the variable', () => {
    const planted = spoiled(environments, (found) => {
      for (const { own } of found) delete own['RATE_LIMIT_REQUESTS'];
    });
    expect(unheardSettings(planted, example)).toEqual([
      'gateway does not hear of RATE_LIMIT_REQUESTS',
    ]);
  });
});

describe('the check of environments', () => {
  const gateway = ENVIRONMENTS['docker-compose.yml'].filter(({ name }) => name === 'gateway');

  test.each<[string, RegExp, (own: Record<string, string>) => void]>([
    [
      'an unknown variable',
      /^gateway does not know REDIS_HOST$/,
      (own) => {
        own['REDIS_HOST'] = 'redis';
      },
    ],
    [
      'a variable of another process',
      /^gateway does not know OPEN_ORDERS_MAX$/,
      (own) => {
        own['OPEN_ORDERS_MAX'] = '500';
      },
    ],
    [
      'a required one that is missing',
      /^gateway: .*\n.*KAFKA_ADDR is required/,
      (own) => {
        delete own['KAFKA_ADDR'];
      },
    ],
    [
      'a value that is refused',
      /IDEMPOTENCY_TTL must be a number/,
      (own) => {
        own['IDEMPOTENCY_TTL'] = 'long';
      },
    ],
  ])('finds %s', (_what, fault, spoil) => {
    const planted = spoiled(gateway, ([found]) => {
      if (found) spoil(found.own);
    });
    expect(environmentFaults(planted)).toEqual([expect.stringMatching(fault)]);
  });

  test('finds a shared variable that no process knows', () => {
    const planted = gateway.map((environment) => ({
      ...environment,
      shared: { REDIS_HOST: 'redis' },
    }));
    expect(environmentFaults(planted)).toEqual(['no process knows REDIS_HOST']);
  });
});
