import type { Manifest, PolicyRule, Selector } from './files';
import { containers, workloads, type Workload } from './workloads';

/** What is wrong between the objects: names that nobody has, pods that nothing guards, ways that are closed. */
export function networkFaults(manifests: readonly Manifest[]): string[] {
  return [
    ...serviceFaults(manifests),
    ...disruptionFaults(manifests),
    ...claimFaults(manifests),
    ...denyFaults(manifests),
    ...wayFaults(manifests),
  ];
}

function serviceFaults(manifests: readonly Manifest[]): string[] {
  return ofKind(manifests, 'Service').flatMap(({ metadata, spec }) => {
    const selector = (spec?.selector ?? {}) as Record<string, string>;
    const chosen = workloads(manifests).filter(({ labels }) =>
      Object.entries(selector).every(([key, value]) => labels[key] === value),
    );
    if (chosen.length !== 1) return [`service ${metadata.name} chooses ${chosen.length} workloads`];
    const names = chosen[0]?.pod.containers.flatMap(({ ports = [] }) =>
      ports.map(({ name }) => name),
    );
    return (spec?.ports ?? [])
      .filter(({ targetPort }) => !names?.includes(String(targetPort)))
      .map(({ targetPort }) => `service ${metadata.name}: no container has a port ${targetPort}`);
  });
}

function disruptionFaults(manifests: readonly Manifest[]): string[] {
  const budgets = ofKind(manifests, 'PodDisruptionBudget').map(({ metadata }) => metadata.name);
  return ['gateway', 'ingest', 'worker', 'archiver']
    .filter((name) => !budgets.includes(name))
    .map((name) => `${name} has no disruption budget`);
}

function claimFaults(manifests: readonly Manifest[]): string[] {
  const claims = ofKind(manifests, 'PersistentVolumeClaim').map(({ metadata }) => metadata.name);
  return workloads(manifests).flatMap(({ name, pod }) =>
    (pod.volumes ?? [])
      .flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? [])
      .filter((claim) => !claims.includes(claim))
      .map((claim) => `${name} claims ${claim}, which is not there`),
  );
}

/** Every pod is under a policy that lets nothing in and nothing out by itself. */
function denyFaults(manifests: readonly Manifest[]): string[] {
  const denies = ofKind(manifests, 'NetworkPolicy').filter(
    ({ spec }) => !spec?.ingress && !spec?.egress && spec?.policyTypes?.length === 2,
  );
  return workloads(manifests)
    .filter(({ labels }) => !denies.some(({ spec }) => matches(spec?.podSelector, labels)))
    .map(({ name }) => `${name} is under no policy that denies by default`);
}

/** For every address in a container's environment that names a service here, the way must be open at both ends. */
function wayFaults(manifests: readonly Manifest[]): string[] {
  const services = new Map(ofKind(manifests, 'Service').map((s) => [s.metadata.name, s]));
  return containers(manifests).flatMap(({ workload, container }) =>
    (container.env ?? []).flatMap(({ value = '' }) => {
      const [, host = '', port = ''] =
        /^(?:\w+:\/\/)?(?:\w+@)?([\w-]+):(\d+)(?:\/|$)/.exec(value) ?? [];
      const service = services.get(host);
      if (!service) return [];
      const entry = service.spec?.ports?.find((candidate) => candidate.port === Number(port));
      if (!entry) return [`${workload.name}: the service ${host} has no port ${port}`];
      const target = workloads(manifests).find(({ name }) => name === host);
      return target && isOpen(manifests, workload, target, { port: Number(port), name: entry.name })
        ? []
        : [`${workload.name} may not reach ${host}:${port}`];
    }),
  );
}

type Port = { readonly port: number; readonly name: string | undefined };

function isOpen(manifests: readonly Manifest[], from: Workload, to: Workload, port: Port): boolean {
  const policies = ofKind(manifests, 'NetworkPolicy');
  const allows = (rules: PolicyRule[] | undefined, side: 'from' | 'to', labels: Labels) =>
    (rules ?? []).some(
      (rule) =>
        rule.ports?.some((p) => p.port === port.port || p.port === port.name) &&
        (!rule[side] ||
          rule[side].some((peer) => peer.podSelector && matches(peer.podSelector, labels))),
    );
  const out = policies.some(
    ({ spec }) => matches(spec?.podSelector, from.labels) && allows(spec?.egress, 'to', to.labels),
  );
  const into = policies.some(
    ({ spec }) =>
      matches(spec?.podSelector, to.labels) && allows(spec?.ingress, 'from', from.labels),
  );
  return out && into;
}

type Labels = Record<string, string>;

function matches(selector: Selector | undefined, labels: Labels): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values = [] }) => values.includes(labels[key] ?? ''))
  );
}

function ofKind(manifests: readonly Manifest[], kind: string): Manifest[] {
  return manifests.filter((manifest) => manifest.kind === kind);
}
