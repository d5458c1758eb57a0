import type { Container, Manifest, PodSpec } from './files';
import { imageFaults } from './images';
import { containers, isEngine, workloads, type Workload } from './workloads';

/** It writes its configuration below /etc. */
const WRITES_ITS_ROOT = ['redpanda'];

/** The processes allow themselves 20 s for an orderly end. */
const OWN_STOP_SECONDS = 20;

/** What breaks our rules for pods, one sentence each; among them all of Pod Security's level "restricted". */
export function podFaults(manifests: readonly Manifest[]): string[] {
  return [
    ...workloads(manifests).flatMap((workload) => [
      ...securityFaults(workload),
      ...graceFaults(workload),
      ...spreadFaults(workload),
    ]),
    ...containers(manifests).flatMap(({ workload, container }) => [
      ...imageFaults(container.name, container.image),
      ...pullFaults(container),
      ...containerSecurityFaults(container),
      ...resourceFaults(container),
      ...(workload.kind === 'Deployment' ? probeFaults(container) : []),
      ...secretFaults(container),
      ...mountFaults(container, workload.pod),
    ]),
  ];
}

function securityFaults({ name, pod }: Workload): string[] {
  const { runAsNonRoot, runAsUser = 0, seccompProfile } = pod.securityContext ?? {};
  return [
    ...(runAsNonRoot && runAsUser > 0 ? [] : [`${name} may run as root`]),
    ...(seccompProfile?.type === 'RuntimeDefault' ? [] : [`${name} has no seccomp profile`]),
    ...(pod.automountServiceAccountToken === false ? [] : [`${name} carries an API token`]),
    // The variables of service links, such as REDIS_PORT, would be taken for settings.
    ...(pod.enableServiceLinks === false ? [] : [`${name} gets variables of service links`]),
    ...(pod.hostNetwork ? [`${name} uses the host's network`] : []),
  ];
}

function containerSecurityFaults({ name, securityContext = {} }: Container): string[] {
  const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities = {} } = securityContext;
  const mayWrite = WRITES_ITS_ROOT.includes(name);
  const dropsAll = capabilities.drop?.includes('ALL') && !capabilities.add;
  return [
    ...(allowPrivilegeEscalation === false ? [] : [`${name} may gain privileges`]),
    ...(readOnlyRootFilesystem || mayWrite ? [] : [`${name} may write into its image`]),
    ...(dropsAll ? [] : [`${name} keeps capabilities`]),
  ];
}

function graceFaults({ name, kind, pod }: Workload): string[] {
  if (kind !== 'Deployment') return [];
  const preStop = pod.containers[0]?.lifecycle?.preStop?.exec?.command;
  const waits = preStop?.[0] === 'sleep' ? Number(preStop[1]) : 0;
  const grace = pod.terminationGracePeriodSeconds ?? 0;
  return grace > OWN_STOP_SECONDS + waits
    ? []
    : [`${name} is killed before it has stopped in order`];
}

function spreadFaults({ name, kind, pod }: Workload): string[] {
  const isScaled =
    kind === 'Deployment' && ['gateway', 'ingest', 'worker', 'archiver'].includes(name);
  return isScaled && !pod.topologySpreadConstraints ? [`${name} may all lie on one node`] : [];
}

function pullFaults({ name, imagePullPolicy }: Container): string[] {
  return imagePullPolicy === 'IfNotPresent' ? [] : [`${name} pulls its image at every start`];
}

function resourceFaults({ name, resources }: Container): string[] {
  return (['requests', 'limits'] as const).flatMap((side) =>
    ['cpu', 'memory'].flatMap((what) =>
      resources?.[side]?.[what] ? [] : [`${name} has no ${side} of ${what}`],
    ),
  );
}

function probeFaults(container: Container): string[] {
  const { name, livenessProbe, ports = [] } = container;
  const missing = (['startupProbe', 'livenessProbe', 'readinessProbe'] as const)
    .filter((probe) => container[probe] === undefined)
    .map((probe) => `${name} has no ${probe}`);
  const asksItself = isEngine(container)
    ? livenessProbe?.httpGet?.path === '/livez'
    : livenessProbe?.tcpSocket;
  const named = ports.map((port) => port.name);
  const unknown = (['startupProbe', 'livenessProbe', 'readinessProbe'] as const).flatMap(
    (probe) => {
      const port = container[probe]?.httpGet?.port ?? container[probe]?.tcpSocket?.port;
      const isKnown = port === undefined || named.includes(String(port));
      return isKnown ? [] : [`${name}: its ${probe} asks port ${port}, which it has not`];
    },
  );
  return [
    ...missing,
    ...(livenessProbe && !asksItself
      ? [`${name}: its livenessProbe asks more than the process`]
      : []),
    ...unknown,
  ];
}

function secretFaults({ name, env = [] }: Container): string[] {
  return env
    .filter((variable) => /PASSWORD|SECRET|TOKEN|API_KEY|_KEY$/.test(variable.name))
    .filter((variable) => variable.value !== undefined)
    .map((variable) => `${name}: ${variable.name} is written into the manifest`);
}

function mountFaults({ name, volumeMounts = [] }: Container, { volumes = [] }: PodSpec): string[] {
  const known = volumes.map((volume) => volume.name);
  return volumeMounts
    .filter((mount) => !known.includes(mount.name))
    .map((mount) => `${name} mounts ${mount.name}, which the pod has not`);
}
