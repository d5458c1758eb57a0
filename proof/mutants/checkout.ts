import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import ts from 'typescript';

/** Data, the results of other runs, and the packages, which are shared. */
const NOT_COPIED = new Set(['node_modules', 'var', 'coverage', '.git']);

/** A copy of the files and not a worktree of git: it has the uncommitted changes and leaves nothing in the repository. */
export function copyCheckout(root: string, copy: string): void {
  mkdirSync(copy, { recursive: true });
  for (const name of readdirSync(root)) {
    // One by one: the copy lies in var/, and a folder cannot be copied into itself.
    if (!NOT_COPIED.has(name)) cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(realpathSync(join(root, 'node_modules')), join(copy, 'node_modules'));
}

/** Tests get the code that runs inside workflows as a bundle, and compile everything else themselves, without types. */
const BUNDLED = /^(?:workflows|engine\/orders)\//;

/**
 * Applies a patch to the copy and bundles the workflows again where it changes them. Returns what reverses both. Throws
 * when the patch does not apply or the changed code does not compile; the copy is unchanged then.
 */
export async function applyPatch(
  root: string,
  copy: string,
  patchFile: string,
): Promise<() => void> {
  // From inside the copy, git would take the paths as paths of the enclosing repository and skip them.
  const directory = `--directory=${relative(root, copy)}`;
  const patch = readFileSync(patchFile, 'utf8');
  const git = (...options: string[]) =>
    execFileSync('git', ['apply', directory, ...options], {
      cwd: root,
      input: patch,
      stdio: 'pipe',
    });
  const bundleFile = join(copy, 'dist', 'workflow-bundle.js');
  const bundle = readFileSync(bundleFile);
  const undo = () => {
    git('--reverse');
    writeFileSync(bundleFile, bundle);
  };

  git();
  try {
    const files = [...patch.matchAll(/^\+\+\+ b\/(.+)$/gm)].map(([, file = '']) => file);
    checkTypes(copy, files);
    if (files.some((file) => BUNDLED.test(file))) {
      const workflowsPath = join(copy, 'workflows', 'index.ts');
      const logger = new DefaultLogger('WARN');
      const { code } = await bundleWorkflowCode({ workflowsPath, logger });
      writeFileSync(bundleFile, code);
    }
    return undo;
  } catch (error) {
    undo();
    throw error;
  }
}

/** Throws with what the compiler says about these files. Files that import them are not checked. */
function checkTypes(copy: string, files: readonly string[]): void {
  const sources = files.filter((file) => file.endsWith('.ts')).map((file) => join(copy, file));
  if (sources.length === 0) return;
  const { config } = ts.readConfigFile(join(copy, 'tsconfig.json'), (file) =>
    ts.sys.readFile(file),
  ) as { config: unknown };
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, copy);
  const ambient = fileNames.filter((file) => file.endsWith('.d.ts'));
  const program = ts.createProgram([...sources, ...ambient], options);
  const problems = sources.flatMap((file) => [
    ...ts.getPreEmitDiagnostics(program, program.getSourceFile(file)),
  ]);
  if (problems.length === 0) return;
  throw new Error(ts.formatDiagnostics(problems, ts.createCompilerHost(options)));
}
