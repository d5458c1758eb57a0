import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A small change of the source that breaks one rule. */
export interface Mutant {
  /** The name of its patch: what `--only` takes. */
  readonly name: string;
  readonly patchFile: string;
  readonly rule: string;
  /** The tests about the rule: all of them must fail, and no other test. */
  readonly fails: readonly NamedTest[];
  /**
   * Set where the other tests of the files take long. Then only `fails` and these run: tests that show that the mutant
   * works apart from its rule.
   */
  readonly passes: readonly NamedTest[];
}

export interface NamedTest {
  /** From the root of the checkout. */
  readonly file: string;
  readonly title: string;
}

/** What jest found. */
export interface TestRun {
  readonly passed: readonly NamedTest[];
  readonly failed: readonly NamedTest[];
}

/**
 * - `caught`: exactly the named tests failed.
 * - `survived`: no test failed.
 * - `wrong`: the mutant says nothing about its rule. It does not apply, does not compile, or other tests fail than it names.
 */
export type Verdict = 'caught' | 'survived' | 'wrong';

/** Reads every patch of the folder, by name. */
export function readMutants(folder: string): Mutant[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.patch'));
  return files.sort().map((file) => {
    const patchFile = join(folder, file);
    return parseMutant(file.replace('.patch', ''), patchFile, readFileSync(patchFile, 'utf8'));
  });
}

/** The head of a patch: lines "Rule: <sentence>", "Fails: <file>: <title>" and "Passes: <file>: <title>". */
function parseMutant(name: string, patchFile: string, text: string): Mutant {
  const [head = ''] = text.split(/^diff --git /m);
  const values = (key: string) =>
    [...head.matchAll(new RegExp(`^${key}: (.+)$`, 'gm'))].map(([, value = '']) => value);
  const tests = (key: string) =>
    values(key).map((value) => {
      const [file = '', ...title] = value.split(': ');
      return { file, title: title.join(': ') };
    });
  const [rule] = values('Rule');
  const fails = tests('Fails');
  if (rule === undefined || fails.length === 0) {
    throw new Error(`${patchFile} must begin with "Rule: ..." and "Fails: <file>: <title>"`);
  }
  return { name, patchFile, rule, fails, passes: tests('Passes') };
}

/** Compares the tests that failed with those that the mutant names. */
export function judge(
  { fails, passes }: Pick<Mutant, 'fails' | 'passes'>,
  { passed, failed }: TestRun,
): { verdict: Verdict; why: string } {
  const extra = without(failed, fails);
  const missed = [...without(fails, failed), ...without(passes, passed)];
  if (extra.length === 0 && missed.length === 0) return { verdict: 'caught', why: '' };
  if (failed.length === 0 && passed.length > 0) return { verdict: 'survived', why: '' };
  const why = [
    extra.length > 0 ? `These tests fail and are not named:\n${list(extra)}` : '',
    missed.length > 0 ? `These named tests do not do what the mutant says:\n${list(missed)}` : '',
  ];
  return { verdict: 'wrong', why: why.filter((text) => text !== '').join('\n') };
}

/** The tests that are not among `others`. */
export function without(tests: readonly NamedTest[], others: readonly NamedTest[]): NamedTest[] {
  const key = ({ file, title }: NamedTest) => `${file}: ${title}`;
  const known = new Set(others.map(key));
  return tests.filter((test) => !known.has(key(test)));
}

export function list(tests: readonly NamedTest[]): string {
  return tests.map(({ file, title }) => `    ${file}: ${title}`).join('\n');
}
