/**
 * The objects of KEDA and of the Prometheus operator, with the fields that we use: their schemas are in no package that
 * is as light. Written after keda.sh/docs/2.17 and the operator's API reference, monitoring.coreos.com/v1.
 */
import type { LabelSelector, ObjectMeta } from 'kubernetes-types/meta/v1';

interface Resource<Version extends string, Kind extends string, Spec> {
  apiVersion: Version;
  kind: Kind;
  metadata: ObjectMeta;
  spec: Spec;
}

interface Trigger<Type extends string, Metadata> {
  type: Type;
  metadata: Metadata;
  authenticationRef?: { name: string };
}

/** Every value is text, also numbers and booleans. */
export type KafkaTrigger = Trigger<
  'kafka',
  {
    bootstrapServers: string;
    consumerGroup: string;
    topic: string;
    lagThreshold?: string;
    activationLagThreshold?: string;
    offsetResetPolicy?: 'earliest' | 'latest';
    allowIdleConsumers?: 'true' | 'false';
    sasl?: 'plaintext' | 'scram_sha256' | 'scram_sha512';
    tls?: 'enable' | 'disable';
  }
>;

export type TemporalTrigger = Trigger<
  'temporal',
  {
    endpoint: string;
    namespace?: string;
    taskQueue: string;
    targetQueueSize?: string;
    activationTargetQueueSize?: string;
    queueTypes?: string;
    minConnectTimeout?: string;
    tlsServerName?: string;
  }
>;

export type ScaledObject = Resource<
  'keda.sh/v1alpha1',
  'ScaledObject',
  {
    scaleTargetRef: { apiVersion?: string; kind?: string; name: string };
    pollingInterval?: number;
    cooldownPeriod?: number;
    minReplicaCount?: number;
    maxReplicaCount?: number;
    fallback?: { failureThreshold: number; replicas: number };
    triggers: (KafkaTrigger | TemporalTrigger)[];
  }
>;

export type TriggerAuthentication = Resource<
  'keda.sh/v1alpha1',
  'TriggerAuthentication',
  {
    secretTargetRef: {
      parameter: 'username' | 'password' | 'ca' | 'cert' | 'key' | 'apiKey';
      name: string;
      key: string;
    }[];
  }
>;

export type ServiceMonitor = Resource<
  'monitoring.coreos.com/v1',
  'ServiceMonitor',
  {
    jobLabel?: string;
    selector: LabelSelector;
    endpoints: { port: string; path?: string; interval?: string; scrapeTimeout?: string }[];
    namespaceSelector?: { any?: boolean; matchNames?: string[] };
  }
>;

/** kustomization.yaml, for kubectl apply -k. */
export interface Kustomization {
  apiVersion: 'kustomize.config.k8s.io/v1beta1';
  kind: 'Kustomization';
  namespace?: string;
  resources?: string[];
  configMapGenerator?: {
    name: string;
    envs: string[];
    options?: { labels?: Record<string, string>; disableNameSuffixHash?: boolean };
  }[];
  images?: { name: string; newName?: string; newTag?: string }[];
}
