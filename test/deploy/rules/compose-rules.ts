import { imageFaults } from './images';
import type { ComposeFile, Service } from './files';

/** They write into their own image: Redpanda its configuration, Grafana its plugins. */
const WRITES_ITS_ROOT = ['redpanda', 'grafana', 'tctl'];

/** The processes allow themselves 20 s for an orderly end. */
const STOP_SECONDS_MIN = 21;

/** What breaks our rules for compose files, one sentence each. Compose's own schema is checked elsewhere. */
export function composeFaults(file: ComposeFile): string[] {
  return Object.entries(file.services).flatMap(([name, service]) => [
    ...imageFaults(name, service.image),
    ...healthFaults(name, service),
    ...limitFaults(name, service),
    ...hardeningFaults(name, service),
    ...portFaults(name, service),
    ...dependencyFaults(name, service, file),
    ...volumeFaults(name, service, file),
  ]);
}

const endsByItself = ({ restart }: Service) => restart === 'no';

function healthFaults(name: string, service: Service): string[] {
  if (endsByItself(service)) return [];
  return [
    ...(service.healthcheck?.test ? [] : [`${name} has no health check`]),
    ...(service.restart === 'unless-stopped' ? [] : [`${name} is not started again`]),
  ];
}

function limitFaults(name: string, service: Service): string[] {
  const { cpus, mem_limit: memory, pids_limit: pids, stop_grace_period: grace, logging } = service;
  const stopSeconds = Number(/^(\d+)s$/.exec(grace ?? '')?.[1] ?? 0);
  const isImpatient = !endsByItself(service) && service.build && stopSeconds < STOP_SECONDS_MIN;
  return [
    ...(memory ? [] : [`${name} may take all memory`]),
    // Compose refuses more than the machine has, and it may have one.
    ...(cpus !== undefined && cpus <= 1 ? [] : [`${name} has no limit of one CPU at most`]),
    ...(pids ? [] : [`${name} may start any number of processes`]),
    ...(logging?.options?.['max-size'] ? [] : [`${name} may fill the disk with its log`]),
    ...(isImpatient ? [`${name} is killed before it has stopped in order`] : []),
  ];
}

function hardeningFaults(name: string, service: Service): string[] {
  const mayWrite = WRITES_ITS_ROOT.includes(name);
  return [
    ...(service.init ? [] : [`${name} has nobody to pass signals on`]),
    ...(service.cap_drop?.includes('ALL') ? [] : [`${name} keeps capabilities`]),
    ...(service.security_opt?.includes('no-new-privileges:true')
      ? []
      : [`${name} may gain privileges`]),
    ...(service.read_only || mayWrite ? [] : [`${name} may write into its image`]),
  ];
}

function portFaults(name: string, { ports = [] }: Service): string[] {
  return ports
    .filter((port) => !/^127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+$/.test(port))
    .map((port) => `${name}: ${port} is not on loopback with a variable to move it`);
}

const CONDITIONS = ['service_healthy', 'service_completed_successfully'];

function dependencyFaults(name: string, service: Service, file: ComposeFile): string[] {
  return Object.entries(service.depends_on ?? {}).flatMap(([other, { condition = 'none' }]) => {
    const found = file.services[other];
    if (!found) return [`${name} depends on ${other}, which is not there`];
    const expected = CONDITIONS[endsByItself(found) ? 1 : 0];
    return condition === expected ? [] : [`${name} waits for ${other} by ${condition}`];
  });
}

function volumeFaults(name: string, { volumes = [] }: Service, file: ComposeFile): string[] {
  return volumes
    .map((volume) => volume.split(':')[0] ?? '')
    .filter((source) => !source.startsWith('.') && !(source in (file.volumes ?? {})))
    .map((source) => `${name}: the volume ${source} is not declared`);
}
