import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One place of the source, and what a hasty hand would write there. */
export interface Edit {
  /** From the root of the checkout. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** A small change of the source that breaks one rule, and the test files of which one must fail then. */
export interface Mutant {
  /** In words with hyphens: what `--only` takes. */
  readonly name: string;
  /** The rule that it breaks, as a sentence about the engine. */
  readonly breaks: string;
  readonly edits: readonly Edit[];
  /** Test files, from the root of the checkout. */
  readonly tests: readonly string[];
  /** A part of the titles to run, where the other tests of the files would only wait for their time-outs. */
  readonly only?: string;
}

/** The mutant's files with its edits made. Throws when an edit no longer fits. */
export function mutate(root: string, { name, edits }: Mutant): ReadonlyMap<string, string> {
  const changed = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const source = changed.get(file) ?? readFileSync(join(root, file), 'utf8');
    const pieces = source.split(find);
    if (pieces.length !== 2) {
      const times = String(pieces.length - 1);
      throw new Error(
        `The mutant "${name}" no longer fits: ${file} holds its text ${times} times, not once:\n${find}`,
      );
    }
    changed.set(file, pieces.join(replace));
  }
  return changed;
}
