import { parse } from 'yaml';
import { openGateway } from '../api/open-gateway';
import { parseManifests, readProduction, readText, readTrial, type Manifest } from './rules/files';
import { podFaults } from './rules/kubernetes-rules';
import type { Kustomization } from './rules/custom-resources';
import { typeFaults } from './rules/kubernetes-schema';
import { networkFaults } from './rules/network-rules';
import { containers } from './rules/workloads';

const SETS: [string, Manifest[]][] = [
  ['k8s/', readTrial()],
  ['k8s/production/', readProduction()],
];

describe.each(SETS)('%s', (_where, manifests) => {
  test('has only fields that Kubernetes knows, of the right kind', () => {
    expect(typeFaults(manifests)).toEqual([]);
  });

  test('keeps our rules, and those of Pod Security at its level restricted', () => {
    expect(podFaults(manifests)).toEqual([]);
  });

  test('has objects that find each other, through policies that deny by default', () => {
    expect(networkFaults(manifests)).toEqual([]);
  });
});

describe.each(SETS)('the admin port of the gateway in %s', (_where, manifests) => {
  const ofKind = (kind: string) => manifests.filter((manifest) => manifest.kind === kind);

  test('has a service of its own, inside the cluster', () => {
    const leading = ofKind('Service').filter(({ spec }) =>
      spec?.ports?.some(({ targetPort }) => targetPort === 'admin'),
    );
    expect(leading.map(({ metadata }) => metadata.name)).toEqual(['gateway-admin']);
    expect(leading[0]?.spec?.type ?? 'ClusterIP').toBe('ClusterIP');
    expect(leading[0]?.spec?.ports).toHaveLength(1);
  });

  test('is open to the monitoring alone', () => {
    const rules = ofKind('NetworkPolicy')
      .filter(({ spec }) => spec?.podSelector?.matchLabels?.['app'] === 'gateway')
      .flatMap(({ spec }) => spec?.ingress ?? []);
    const monitoring = { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } };
    expect(rules).toEqual([
      { ports: [{ port: 'http' }] },
      { ports: [{ port: 'admin' }], from: [{ namespaceSelector: monitoring }] },
    ]);
  });
});

describe('k8s/', () => {
  const trial = readTrial();

  test('fits on a small node: its pods request less than four cores', () => {
    const requests = containers(trial).map(({ container }) => {
      const cpu = container.resources?.requests?.['cpu'] ?? '';
      return cpu.endsWith('m') ? Number(cpu.slice(0, -1)) / 1000 : Number(cpu);
    });
    expect(requests.reduce((sum, cores) => sum + cores, 0)).toBeLessThan(4);
  });

  test('answers to the names of the commands that people know', () => {
    const labels = (kind: string, name: string) =>
      trial.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)?.spec
        ?.template?.metadata.labels;
    expect(labels('Deployment', 'redis')).toMatchObject({ app: 'redis' });
    expect(labels('Deployment', 'redpanda')).toMatchObject({ app: 'redpanda' });
    // kubectl wait --for=condition=ready would wait for ever for a pod that has ended.
    expect(labels('Job', 'setup')).toMatchObject({ app: 'setup' });
    const gateway = trial.find(
      ({ kind, metadata }) => kind === 'Service' && metadata.name === 'gateway',
    );
    expect(gateway?.spec?.ports).toMatchObject([{ port: 8080, nodePort: 30_000 }]);
  });
});

describe('k8s/production/', () => {
  test('starts new pods when a setting changes: the name of their ConfigMap has its hash', () => {
    const { configMapGenerator = [] } = parse(
      readText('k8s', 'production', 'kustomization.yaml'),
    ) as Kustomization;
    const hashed = configMapGenerator
      .filter(({ envs, options }) => !options?.disableNameSuffixHash && envs.length > 0)
      .map(({ name }) => name);
    const used = containers(readProduction()).flatMap(({ workload, container }) => [
      ...(container.envFrom ?? []).map(({ configMapRef }) => configMapRef?.name),
      ...(workload.pod.volumes ?? []).flatMap(({ configMap }) => configMap?.name ?? []),
    ]);
    expect([...new Set(used)]).toEqual(['engine']);
    expect(hashed).toEqual(['engine']);
  });

  test('applies every file beside its kustomization, in a namespace that is restricted', () => {
    const kustomization = parse(readText('k8s', 'production', 'kustomization.yaml')) as Pick<
      Manifest,
      'apiVersion' | 'kind'
    > & { resources: string[] };
    expect(typeFaults([kustomization])).toEqual([]);
    const found = readProduction().filter(({ kind }) => kind !== 'ConfigMap');
    const listed = kustomization.resources.flatMap((name) =>
      parseManifests(readText('k8s', 'production', name)),
    );
    expect(listed.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual(
      found.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort(),
    );
    const namespace = found.find(({ kind }) => kind === 'Namespace');
    expect(namespace?.metadata.labels).toMatchObject({
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
  });

  test('has an ingress with TLS for what buyers and the payment provider need, and for nothing else', async () => {
    const [{ spec } = {}, ...others] = readProduction().filter(({ kind }) => kind === 'Ingress');
    expect(others).toEqual([]);
    const hosts = spec?.rules?.map(({ host }) => host);
    expect(spec?.tls).toEqual([{ hosts, secretName: 'gateway-tls' }]);
    const paths = (spec?.rules ?? []).flatMap(({ http }) => http?.paths ?? []);
    for (const { backend } of paths) {
      expect(backend).toEqual({ service: { name: 'gateway', port: { name: 'http' } } });
    }
    const leads = (to: string) =>
      paths.some(({ path, pathType }) =>
        pathType === 'Exact' ? to === path : `${to}/`.startsWith(`${path}/`),
      );
    const nobody = () => Promise.reject(new Error('nobody asks'));
    const provider = { checkout: nobody, readWebhook: nobody };
    const open = await openGateway({ change: () => ({ payments: { provider, act: nobody } }) });
    await open.close();
    const { routes } = open.gateway;
    const probes = ['/livez', '/readyz'];
    const closed = routes.public.map(({ path }) => path).filter((path) => !leads(path));
    expect(closed).toEqual(probes);
    const operators = routes.admin.filter(({ path }) => /operator|metrics/.test(path));
    expect(operators.map(({ path }) => path).filter(leads)).toEqual([]);
  });
});
