import type { Container, Manifest, PodSpec } from './files';

/** A pod as a manifest describes it. */
export interface Workload {
  readonly kind: string;
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly pod: PodSpec;
}

/** Everything that runs pods. */
export function workloads(manifests: readonly Manifest[]): Workload[] {
  return manifests.flatMap(({ kind, metadata, spec }) =>
    spec?.template
      ? [
          {
            kind,
            name: metadata.name,
            labels: spec.template.metadata.labels,
            pod: spec.template.spec,
          },
        ]
      : [],
  );
}

/** Every container with the name of its workload. */
export function containers(
  manifests: readonly Manifest[],
): { workload: Workload; container: Container }[] {
  return workloads(manifests).flatMap((workload) =>
    [...workload.pod.containers, ...(workload.pod.initContainers ?? [])].map((container) => ({
      workload,
      container,
    })),
  );
}

/** Ours are those that run what the build makes. */
export const isEngine = ({ command }: Container) => programOf(command) !== undefined;

/** The file of ours that a command runs; options for Node may come before it. */
export function programOf(command: readonly string[] = []): string | undefined {
  return command.find((word) => word.startsWith('dist/'));
}
