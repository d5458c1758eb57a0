import { readTrial, spoiled, type Container, type PodSpec } from './rules/files';
import { podFaults } from './rules/kubernetes-rules';
import { typeFaults } from './rules/kubernetes-schema';
import { networkFaults } from './rules/network-rules';

describe('the checks of Kubernetes objects', () => {
  const trial = readTrial();
  const inGateway = (spoil: (container: Container, pod: PodSpec) => void) =>
    spoiled(trial, (copy) => {
      const pod = copy.find(
        ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'gateway',
      )?.spec?.template?.spec;
      if (pod?.containers[0]) spoil(pod.containers[0], pod);
    });

  test.each<[string, string, (container: Container) => void]>([
    [
      'a mistyped field',
      '\'"redinessProbe"\' does not exist',
      (gateway) => {
        Object.assign(gateway, { redinessProbe: {} });
      },
    ],
    [
      'a mistyped field deep inside',
      '\'"periodSecond"\' does not exist',
      (gateway) => {
        Object.assign(gateway.startupProbe ?? {}, { periodSecond: 2 });
      },
    ],
    [
      'a number where text must be',
      "Type 'number' is not assignable to type 'string'",
      (gateway) => {
        Object.assign(gateway.env?.[0] ?? {}, { value: 8080 });
      },
    ],
    [
      'a required field that is missing',
      "Property 'name' is missing",
      (gateway) => {
        Reflect.deleteProperty(gateway, 'name');
      },
    ],
  ])('find %s', (_what, fault, spoil) => {
    expect(typeFaults(inGateway(spoil))).toEqual([expect.stringContaining(fault)]);
  });

  test('find a kind that is mistyped', () => {
    const planted = spoiled(trial, ([first]) => {
      if (first) first.kind = 'Servise';
    });
    expect(typeFaults(planted)).toEqual([expect.stringContaining('Servise is unknown')]);
  });

  test.each<[string, string, (container: Container, pod: PodSpec) => void]>([
    [
      'a missing probe',
      'gateway has no livenessProbe',
      (gateway) => {
        delete gateway.livenessProbe;
      },
    ],
    [
      'a liveness that asks dependencies',
      'gateway: its livenessProbe asks more than the process',
      (gateway) => {
        gateway.livenessProbe = { httpGet: { path: '/readyz', port: 'http' } };
      },
    ],
    [
      'a probe of a port that is not there',
      'gateway: its readinessProbe asks port web, which it has not',
      (gateway) => {
        gateway.readinessProbe = { httpGet: { path: '/readyz', port: 'web' } };
      },
    ],
    [
      'an unpinned tag',
      'gateway: flash-sale-engine:latest is not pinned to a version',
      (gateway) => {
        gateway.image = 'flash-sale-engine:latest';
      },
    ],
    [
      'a missing limit',
      'gateway has no limits of memory',
      (gateway) => {
        delete gateway.resources?.limits?.['memory'];
      },
    ],
    [
      'a root that can be written',
      'gateway may write into its image',
      (gateway) => {
        Object.assign(gateway.securityContext ?? {}, { readOnlyRootFilesystem: false });
      },
    ],
    [
      'capabilities',
      'gateway keeps capabilities',
      (gateway) => {
        Object.assign(gateway.securityContext ?? {}, {
          capabilities: { drop: ['ALL'], add: ['NET_RAW'] },
        });
      },
    ],
    [
      'a root user',
      'gateway may run as root',
      (_, pod) => {
        Object.assign(pod.securityContext ?? {}, { runAsUser: 0 });
      },
    ],
    [
      'no seccomp profile',
      'gateway has no seccomp profile',
      (_, pod) => {
        delete pod.securityContext?.seccompProfile;
      },
    ],
    [
      'too short a grace',
      'gateway is killed before it has stopped in order',
      (_, pod) => {
        pod.terminationGracePeriodSeconds = 25;
      },
    ],
    [
      'a secret in plain text',
      'gateway: REDIS_PASSWORD is written into the manifest',
      (gateway) => {
        gateway.env?.push({ name: 'REDIS_PASSWORD', value: 'x' });
      },
    ],
    [
      'a volume that is not there',
      'gateway mounts secrets, which the pod has not',
      (gateway) => {
        gateway.volumeMounts = [{ name: 'secrets', mountPath: '/x' }];
      },
    ],
  ])('find %s', (_what, fault, spoil) => {
    expect(podFaults(inGateway(spoil))).toEqual([fault]);
  });

  test.each<[string, string, (name: string, kind: string) => boolean]>([
    [
      'a closed way in',
      'gateway may not reach redpanda:9092',
      (name, kind) => kind === 'NetworkPolicy' && name === 'redpanda',
    ],
    [
      'a closed way out',
      'worker may not reach payments:8090',
      (name, kind) => kind === 'NetworkPolicy' && name === 'worker',
    ],
    [
      'a closed way to the database',
      'archiver may not reach postgres:5432',
      (name, kind) => kind === 'NetworkPolicy' && name === 'archiver',
    ],
    [
      'a pod that nothing guards',
      'redis is under no policy that denies by default',
      (name) => name === 'flash-sale-default-deny',
    ],
    [
      'a missing disruption budget',
      'worker has no disruption budget',
      (name, kind) => kind === 'PodDisruptionBudget' && name === 'worker',
    ],
    [
      'a volume claim that is not there',
      'redis claims redis-data, which is not there',
      (name) => name === 'redis-data',
    ],
  ])('find %s', (_what, fault, isRemoved) => {
    const planted = trial.filter(({ kind, metadata }) => !isRemoved(metadata.name, kind));
    expect(networkFaults(planted)).toContain(fault);
  });
});
