import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from './files';

/** Which type describes which kind of object. */
const KINDS: Record<string, { readonly module: string; readonly kinds: readonly string[] }> = {
  v1: {
    module: 'kubernetes-types/core/v1',
    kinds: ['ConfigMap', 'Namespace', 'PersistentVolumeClaim', 'Service'],
  },
  'apps/v1': { module: 'kubernetes-types/apps/v1', kinds: ['Deployment'] },
  'batch/v1': { module: 'kubernetes-types/batch/v1', kinds: ['Job'] },
  'policy/v1': { module: 'kubernetes-types/policy/v1', kinds: ['PodDisruptionBudget'] },
  'autoscaling/v2': {
    module: 'kubernetes-types/autoscaling/v2',
    kinds: ['HorizontalPodAutoscaler'],
  },
  'networking.k8s.io/v1': {
    module: 'kubernetes-types/networking/v1',
    kinds: ['Ingress', 'NetworkPolicy'],
  },
  'keda.sh/v1alpha1': {
    module: './custom-resources',
    kinds: ['ScaledObject', 'TriggerAuthentication'],
  },
  'monitoring.coreos.com/v1': { module: './custom-resources', kinds: ['ServiceMonitor'] },
  'kustomize.config.k8s.io/v1beta1': { module: './custom-resources', kinds: ['Kustomization'] },
};

/** The types themselves, which take the compiler a second to read. */
const LIBRARIES = new Map<string, ts.SourceFile>();

/** All that an object must say of itself to be checked. */
interface Typed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: { readonly name: string };
}

const CHECKED = join(ROOT, 'test', 'deploy', 'rules', 'manifests.checked.ts');

/**
 * What the API's types have against these objects: a field that is not there, a value of the wrong kind, a required one
 * that is missing. Each object is written as a literal of its type, for which the compiler allows no unknown field,
 * however deep. It is as strict as the API server's own field validation, and needs no cluster.
 */
export function typeFaults(manifests: readonly Typed[]): string[] {
  const lines = manifests.map((manifest, index) => {
    const { module, kinds } = KINDS[manifest.apiVersion] ?? { module: '', kinds: [] };
    if (!kinds.includes(manifest.kind)) {
      return `const object${index}: never = ${JSON.stringify(`${manifest.apiVersion} ${manifest.kind} is unknown`)};`;
    }
    return `const object${index}: import('${module}').${manifest.kind} = ${JSON.stringify(manifest)};`;
  });
  const source = ts.createSourceFile(CHECKED, lines.join('\n'), ts.ScriptTarget.ES2022, true);
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const readFile = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) => {
    if (name === CHECKED) return source;
    const file = LIBRARIES.get(name) ?? readFile(name, ...rest);
    if (file) LIBRARIES.set(name, file);
    return file;
  };
  const program = ts.createProgram([CHECKED], options, host);
  return program.getSemanticDiagnostics(source).map(({ start = 0, messageText }) => {
    const { line } = source.getLineAndCharacterOfPosition(start);
    const { kind, metadata } = manifests[line] ?? { kind: 'nothing' };
    return `${kind} ${metadata?.name ?? ''}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
