import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
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

/**
 * Tests get the code that runs inside workflows as a bundle, and the processes that they start as dist/ has them. They compile
 * everything else themselves, without types.
 */
const BUNDLED = /^(?:workflows|engine\/orders)\//;

/**
 * Applies a patch to the copy, builds the files that it changes, and bundles the workflows again where they are among them.
 * Returns what reverses all of it. Throws when the patch does not apply or the changed code does not compile; the copy is
 * unchanged then.
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
  const files = [...patch.matchAll(/^\+\+\+ b\/(.+)$/gm)].map(([, file = '']) => file);
  const build = () => {
    for (const file of files) buildFile(copy, file);
  };
  const undo = () => {
    git('--reverse');
    build();
    writeFileSync(bundleFile, bundle);
  };

  git();
  try {
    checkTypes(copy, files);
    build();
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

/** Where dist/ has the file. */
function buildFile(copy: string, file: string): void {
  const built = join(copy, 'dist', file.replace(/[.]ts$/, '.js'));
  if (!existsSync(built)) return;
  const source = readFileSync(join(copy, file), 'utf8');
  // As the build does: package.json names no type of module.
  const options = { ...compilerOptions(copy).options, module: ts.ModuleKind.CommonJS };
  const code = () => ts.transpileModule(source, { compilerOptions: options }).outputText;
  writeFileSync(built, file.endsWith('.ts') ? code() : source);
}

/** Throws with what the compiler says about these files. Files that import them are not checked. */
function checkTypes(copy: string, files: readonly string[]): void {
  const sources = files.filter((file) => file.endsWith('.ts')).map((file) => join(copy, file));
  if (sources.length === 0) return;
  const { options, fileNames } = compilerOptions(copy);
  const ambient = fileNames.filter((file) => file.endsWith('.d.ts'));
  const program = ts.createProgram([...sources, ...ambient], options);
  const problems = sources.flatMap((file) => [
    ...ts.getPreEmitDiagnostics(program, program.getSourceFile(file)),
  ]);
  if (problems.length === 0) return;
  throw new Error(ts.formatDiagnostics(problems, ts.createCompilerHost(options)));
}

function compilerOptions(copy: string): ts.ParsedCommandLine {
  const { config } = ts.readConfigFile(join(copy, 'tsconfig.json'), (file) =>
    ts.sys.readFile(file),
  ) as { config: unknown };
  return ts.parseJsonConfigFileContent(config, ts.sys, copy);
}
