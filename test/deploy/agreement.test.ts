import {
  loadApiConfig,
  loadArchiverConfig,
  loadIngestConfig,
  loadSimulatorConfig,
  loadWorkerConfig,
} from '../../platform/config';
import { ORDERS_PARTITIONS } from '../../engine/kafka/topics';
import { CHECKPOINT_PAGES, DYNAMIC_CONFIG, GOGC } from '../../stack/components/temporal';
import { GATEWAY_NODE_OPTIONS, NODE_OPTIONS } from '../../stack/engine';
import { PORTS } from '../../stack/settings';
import { parseCompose, readProduction, readText, readTrial } from './rules/files';
import { containers } from './rules/workloads';

const { services } = parseCompose(readText('docker-compose.yml'));
const trial = readTrial();
const production = readProduction();
const VERSION = (JSON.parse(readText('package.json')) as { version: string }).version;

/** The ports of a service of the trial on Kubernetes. */
const servicePorts = (name: string) =>
  trial
    .filter(({ kind, spec }) => kind === 'Service' && spec?.selector?.['app'] === name)
    .flatMap(({ spec }) => (spec?.ports ?? []).map(({ port }) => port));

const composePorts = (name: string) =>
  (services[name]?.ports ?? []).map((text) => {
    const [, variable = '', standard = '', inside = ''] =
      /\$\{(\w+):-(\d+)\}:(\d+)$/.exec(text) ?? [];
    return { variable, standard: Number(standard), inside: Number(inside) };
  });

describe('ports', () => {
  const ENV = {
    REDIS_ADDR: 'r:1',
    KAFKA_ADDR: 'k:1',
    TEMPORAL_ADDRESS: 't:1',
    PAYMENT_URL: 'http://p',
    PAYMENT_LEDGER_FILE: 'l',
    DATABASE_URL: 'postgres://e@localhost/a',
  };

  test.each([
    ['gateway', loadApiConfig(ENV).port],
    ['ingest', loadIngestConfig(ENV).port],
    ['worker', loadWorkerConfig(ENV).port],
    ['archiver', loadArchiverConfig(ENV).port],
    ['payments', loadSimulatorConfig(ENV).port],
  ])('%s listens on its own everywhere', (name, port) => {
    expect(services[name]?.environment?.['PORT']).toBe(port);
    for (const { container } of containers([...trial, ...production])) {
      if (container.name !== name) continue;
      expect(container.ports?.[0]).toEqual({ name: 'http', containerPort: port });
      expect(container.env).toContainEqual({ name: 'PORT', value: String(port) });
    }
  });

  test('the gateway listens for operators on a port of its own, where probes ask', () => {
    const { adminPort } = loadApiConfig(ENV);
    expect(services['gateway']?.environment?.['ADMIN_PORT']).toBe(adminPort);
    const gateways = containers([...trial, ...production]).filter(
      ({ container }) => container.name === 'gateway',
    );
    expect(gateways).toHaveLength(2);
    for (const { container } of gateways) {
      expect(container.ports?.[1]).toEqual({ name: 'admin', containerPort: adminPort });
      expect(container.env).toContainEqual({ name: 'ADMIN_PORT', value: String(adminPort) });
      const probes = [container.startupProbe, container.livenessProbe, container.readinessProbe];
      expect(probes.map((probe) => probe?.httpGet?.port)).toEqual(['admin', 'admin', 'admin']);
    }
  });

  test.each([
    ['gateway', ['gateway', 'admin']],
    ['payments', ['payment']],
    ['redis', ['redis']],
    ['redpanda', ['kafka']],
    ['temporal', ['temporal', 'temporalUi']],
  ] as const)(
    '%s is reached on the ports of npm start, moved by the same variables',
    (name, parts) => {
      const expected = parts.map((part) => PORTS[part]);
      expect(composePorts(name).map(({ variable, standard }) => ({ variable, standard }))).toEqual(
        expected,
      );
      expect(composePorts(name).map(({ inside }) => inside)).toEqual(
        expected.map(({ standard }) => standard),
      );
      expect(servicePorts(name)).toEqual(
        expect.arrayContaining(expected.map(({ standard }) => standard)),
      );
    },
  );

  test('the documents name each', () => {
    const documents = ['README.md', 'docs/operations.md', 'docs/deploy.md'];
    const text = documents.map((path) => readText(...path.split('/'))).join('\n');
    for (const port of [8080, 9100, 9101, 9102, 9103, 8090, 5432, 19_092, 9092, 8233, 30_000]) {
      expect(text).toContain(String(port));
    }
  });
});

describe('versions', () => {
  test('the image of the engine is that of package.json', () => {
    const images = [
      ...Object.values(services)
        .filter(({ build }) => build)
        .map(({ image }) => image),
      ...containers([...trial, ...production]).map(({ container }) => container.image),
    ].filter((image) => image?.startsWith('flash-sale-engine'));
    expect(new Set(images)).toEqual(new Set([`flash-sale-engine:${VERSION}`]));
    expect(readText('k8s', 'production', 'kustomization.yaml')).toContain(`newTag: ${VERSION}`);
  });

  test.each(['redis', 'redpanda', 'temporal', 'postgres'])(
    '%s is the same in compose and on Kubernetes',
    (name) => {
      const [found] = containers(trial).filter(({ container }) => container.name === name);
      expect(found?.container.image).toBe(services[name]?.image);
    },
  );
});

describe('settings', () => {
  const argsOf = (name: string) =>
    containers(trial).find(({ container }) => container.name === name)?.container.args ?? [];

  test('Temporal runs with what was measured, wherever it runs', () => {
    const measured = Object.entries(DYNAMIC_CONFIG).map(
      ([key, value]) => `--dynamic-config-value=${key}=${JSON.stringify(value)}`,
    );
    for (const args of [services['temporal']?.command ?? [], argsOf('temporal')]) {
      expect(args.filter((arg) => arg.startsWith('--dynamic-config-value'))).toEqual(measured);
      expect(args.filter((arg) => arg.startsWith('--sqlite-pragma'))).toEqual([
        '--sqlite-pragma=journal_mode=WAL',
        '--sqlite-pragma=synchronous=NORMAL',
        `--sqlite-pragma=wal_autocheckpoint=${CHECKPOINT_PAGES}`,
      ]);
    }
    expect(services['temporal']?.environment?.['GOGC']).toBe(GOGC);
    const [found] = containers(trial).filter(({ container }) => container.name === 'temporal');
    expect(found?.container.env).toEqual([{ name: 'GOGC', value: GOGC }]);
  });

  test('the gateway has the same room for what is in hand, wherever it runs', () => {
    const command = ['node', ...GATEWAY_NODE_OPTIONS, 'dist/api/main.js'];
    const gateways = [...containers(trial), ...containers(production)].filter(
      ({ container }) => container.name === 'gateway',
    );
    expect(gateways.map(({ container }) => container.command)).toEqual([command, command]);
    expect(services['gateway']?.command).toEqual(command);
    expect(readText('Dockerfile')).toContain(
      `\nCMD ${JSON.stringify(command).replaceAll(',', ', ')}`,
    );
  });

  test('Node runs with the same options, wherever it runs', () => {
    const inImage = NODE_OPTIONS.join(' ').replace('./', '/app/');
    expect(readText('Dockerfile')).toContain(`\nENV NODE_OPTIONS="${inImage}"\n`);
  });

  test('Redis keeps its data in the same way, wherever it runs', () => {
    expect(argsOf('redis')).toEqual(services['redis']?.command);
  });

  test('ingest scales to as many copies as the topic has partitions, and no further', () => {
    const scaled = production.find(
      ({ kind, metadata }) => kind === 'ScaledObject' && metadata.name === 'ingest',
    );
    expect(scaled?.spec?.maxReplicaCount).toBe(ORDERS_PARTITIONS);
  });

  test('what scales reads the topic, the group and the task queue that the processes use', () => {
    const settings = production.find(({ kind }) => kind === 'ConfigMap')?.data ?? {};
    const triggers = production.flatMap(({ spec }) => spec?.triggers ?? []);
    const addresses = { REDIS_ADDR: 'r:1', KAFKA_ADDR: 'k:1', TEMPORAL_ADDRESS: 't:1' };
    const defaults = loadIngestConfig({ ...addresses, PAYMENT_URL: 'http://p' });
    expect(triggers).toMatchObject([
      {
        metadata: {
          topic: defaults.ordersTopic,
          consumerGroup: defaults.consumerGroup,
          bootstrapServers: settings['KAFKA_ADDR'],
        },
      },
      {
        metadata: {
          taskQueue: defaults.taskQueue,
          endpoint: settings['TEMPORAL_ADDRESS'],
          namespace: settings['TEMPORAL_NAMESPACE'],
        },
      },
    ]);
  });
});
