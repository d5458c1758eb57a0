import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

export const ROOT = join(__dirname, '..', '..', '..');

export const readText = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8');

/** The fields of a compose service that the rules look at. */
export interface Service {
  image?: string;
  build?: unknown;
  command?: string[];
  entrypoint?: string[];
  environment?: Record<string, string | number>;
  ports?: string[];
  volumes?: string[];
  profiles?: string[];
  restart?: string;
  init?: boolean;
  read_only?: boolean;
  user?: string;
  cap_drop?: string[];
  security_opt?: string[];
  cpus?: number;
  mem_limit?: string;
  pids_limit?: number;
  stop_grace_period?: string;
  logging?: { options?: Record<string, string> };
  healthcheck?: { disable?: boolean; test?: string[] };
  depends_on?: Record<string, { condition?: string }>;
}

export interface ComposeFile {
  services: Record<string, Service>;
  volumes?: Record<string, unknown>;
}

/** A compose file with its merge keys applied. What `!override` marks is read as it stands. */
export function parseCompose(text: string): ComposeFile {
  return parse(text, { merge: true, logLevel: 'error' }) as ComposeFile;
}

/** "${NAME:-default}" becomes "default", as compose does where nothing is set. */
export function withDefaults(value: string | number): string {
  return String(value).replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
}

export interface Probe {
  httpGet?: { path?: string; port?: string | number };
  tcpSocket?: { port?: string | number };
  exec?: { command?: string[] };
}

export interface Container {
  name: string;
  image?: string;
  imagePullPolicy?: string;
  command?: string[];
  args?: string[];
  env?: {
    name: string;
    value?: string;
    valueFrom?: { secretKeyRef?: { name: string; key: string } };
  }[];
  envFrom?: { configMapRef?: { name: string } }[];
  ports?: { name?: string; containerPort: number }[];
  securityContext?: {
    allowPrivilegeEscalation?: boolean;
    readOnlyRootFilesystem?: boolean;
    privileged?: boolean;
    capabilities?: { drop?: string[]; add?: string[] };
  };
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  lifecycle?: { preStop?: { exec?: { command?: string[] } } };
  volumeMounts?: { name: string; mountPath: string }[];
}

export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  terminationGracePeriodSeconds?: number;
  topologySpreadConstraints?: unknown[];
  hostNetwork?: boolean;
  securityContext?: {
    runAsNonRoot?: boolean;
    runAsUser?: number;
    seccompProfile?: { type?: string };
  };
  volumes?: {
    name: string;
    persistentVolumeClaim?: { claimName: string };
    secret?: { secretName?: string };
    configMap?: { name?: string };
  }[];
}

interface Peer {
  podSelector?: Selector;
  namespaceSelector?: unknown;
  ipBlock?: unknown;
}

export interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

export interface PolicyRule {
  ports?: { port?: string | number; protocol?: string }[];
  from?: Peer[];
  to?: Peer[];
}

interface IngressRule {
  host?: string;
  http?: {
    paths: {
      path: string;
      pathType: string;
      backend: { service: { name: string; port: { name?: string } } };
    }[];
  };
}

/** A Kubernetes object: the fields that the rules look at. What fields there may be is for `typeFaults` to say. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  data?: Record<string, string>;
  spec?: {
    replicas?: number;
    maxReplicaCount?: number;
    selector?: Record<string, unknown>;
    template?: { metadata: { labels: Record<string, string> }; spec: PodSpec };
    ports?: { name?: string; port: number; targetPort?: string | number; nodePort?: number }[];
    podSelector?: Selector;
    policyTypes?: string[];
    ingress?: PolicyRule[];
    egress?: PolicyRule[];
    type?: string;
    tls?: { hosts?: string[]; secretName?: string }[];
    rules?: IngressRule[];
    scaleTargetRef?: { name: string };
    triggers?: { type: string; metadata: Record<string, string> }[];
    jobLabel?: string;
    endpoints?: { port: string }[];
  };
}

/** The objects of a file with several documents. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { strict: true }).map((document) => {
    const fault = document.errors[0];
    if (fault) throw fault;
    return document.toJS() as Manifest;
  });
}

/** Everything that k8s/production applies: the objects in its files, and the ConfigMap that is made of its settings. */
export function readProduction(): Manifest[] {
  const objects = readdirSync(join(ROOT, 'k8s', 'production'))
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .flatMap((name) => parseManifests(readText('k8s', 'production', name)));
  const settings = [...readText('k8s', 'production', 'settings.env').matchAll(/^(\w+)=(.*)$/gm)];
  const data = Object.fromEntries(settings.map(([, name = '', value = '']) => [name, value]));
  return [...objects, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'engine' }, data }];
}

export function readTrial(): Manifest[] {
  return ['infrastructure.yaml', 'apps.yaml'].flatMap((name) =>
    parseManifests(readText('k8s', name)),
  );
}

/** A deep copy that a test may spoil. */
export function spoiled<T>(value: T, spoil: (copy: T) => void): T {
  const copy = structuredClone(value);
  spoil(copy);
  return copy;
}
