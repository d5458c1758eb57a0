import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { runToEnd } from '../../stack/guarded-process';
import { mutate, type Mutant } from './mutant';

/** A copy of the checkout that may be broken: what is done to it never touches the work tree. */
export interface Checkout {
  readonly root: string;
  /** Makes the mutant's edits, builds what the tests would not compile themselves, and returns what undoes both. */
  readonly apply: (mutant: Mutant, signal: AbortSignal) => Promise<() => void>;
}

/** Data, results of other runs, and the packages, which are shared. */
const NOT_COPIED = new Set(['node_modules', 'var', 'coverage', '.git']);

/** What runs inside workflows comes to the tests as a bundle; they compile everything else by themselves. */
const BUNDLED = /^(?:workflows|domain)\//;
const BUNDLE = join('dist', 'workflow-bundle.js');

/** Copies the checkout as it stands in the work tree, with what is built of it. */
export function copyCheckout(from: string, root: string): Checkout {
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(from)) {
    // One by one: a folder cannot be copied into itself, and the copy lies in var/.
    if (!NOT_COPIED.has(name)) cpSync(join(from, name), join(root, name), { recursive: true });
  }
  symlinkSync(realpathSync(join(from, 'node_modules')), join(root, 'node_modules'));

  return {
    root,
    apply: async (mutant, signal) => {
      const changed = mutate(root, mutant);
      const before = new Map([...changed.keys()].map((file) => [file, read(root, file)]));
      const bundle = read(root, BUNDLE);
      const undo = () => {
        for (const [file, source] of before) writeFileSync(join(root, file), source);
        writeFileSync(join(root, BUNDLE), bundle);
      };
      for (const [file, source] of changed) writeFileSync(join(root, file), source);
      if ([...changed.keys()].some((file) => BUNDLED.test(file))) await build(root, signal);
      return undo;
    },
  };
}

/** Throws, with what the compiler says, when the mutant is not even a program. */
function build(root: string, signal: AbortSignal): Promise<void> {
  const program = {
    ...{ command: process.execPath, args: [join('scripts', 'build.mjs')], cwd: root },
    env: {},
    logFile: join(root, 'var', 'build.log'),
  };
  return runToEnd(root, program, signal);
}

function read(root: string, file: string): Buffer {
  return readFileSync(join(root, file));
}
