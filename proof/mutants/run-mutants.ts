import type { Env } from '../../platform/config';
import { isAbort } from '../../platform/until';
import { describeError } from '../../platform/user-error';
import { seconds, type Report } from '../../stack/report';
import { applyPatch, copyCheckout } from './checkout';
import { runTests } from './jest-run';
import { judge, list, without, type Mutant, type Verdict } from './mutants';

export interface MutantResult {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
  /** Why the mutant is wrong; otherwise empty. */
  readonly why: string;
  readonly tookMs: number;
}

/** All tests of all mutants together, on the unchanged source. */
const BASELINE_MS_MAX = 480_000;
/** A mutant that makes its tests wait fails by their time-outs long before this. */
const MUTANT_MS_MAX = 180_000;

/**
 * Applies one mutant after the other to a copy of the checkout `root` and runs its tests there. Throws when a named test
 * does not pass on the unchanged source.
 */
export async function runMutants(
  root: string,
  mutants: readonly Mutant[],
  options: { copy: string; env: Env; report: Report; signal: AbortSignal },
): Promise<MutantResult[]> {
  const { copy, report } = options;
  copyCheckout(root, copy);
  await expectBaseline(mutants, options);
  const results: MutantResult[] = [];
  for (const mutant of mutants) {
    const result = await runMutant(root, mutant, options);
    results.push(result);
    const count = `[${String(results.length).padStart(2)}/${mutants.length}]`;
    report(`  ${count} ${seconds(result.tookMs).padStart(6)}  ${mutant.name}: ${result.verdict}`);
    if (result.why !== '') report(result.why);
  }
  return results;
}

async function expectBaseline(
  mutants: readonly Mutant[],
  { copy, env, report, signal }: { copy: string; env: Env; report: Report; signal: AbortSignal },
): Promise<void> {
  const startedAt = Date.now();
  const named = mutants.flatMap(({ fails, passes }) => [...fails, ...passes]);
  const files = [...new Set(named.map(({ file }) => file))];
  report(`The ${files.length} test files without a mutant ...`);
  const run = await runTests(copy, files, { env, signal, msMax: BASELINE_MS_MAX });
  const missing = without(named, run.passed);
  if (run.failed.length > 0 || missing.length > 0) {
    throw new Error(
      `Without a mutant these tests do not pass:\n${list([...run.failed, ...missing])}`,
    );
  }
  report(`  ${run.passed.length} passed in ${seconds(Date.now() - startedAt)}.`);
}

async function runMutant(
  root: string,
  mutant: Mutant,
  { copy, env, signal }: { copy: string; env: Env; signal: AbortSignal },
): Promise<MutantResult> {
  const startedAt = Date.now();
  const result = (verdict: Verdict, why: string) => {
    return { mutant, verdict, why, tookMs: Date.now() - startedAt };
  };
  const { fails, passes } = mutant;
  const files = [...new Set([...fails, ...passes].map(({ file }) => file))];
  const only = passes.length > 0 ? [...fails, ...passes].map(({ title }) => title) : undefined;
  try {
    const undo = await applyPatch(root, copy, mutant.patchFile);
    try {
      const run = await runTests(copy, files, { only, env, signal, msMax: MUTANT_MS_MAX });
      const { verdict, why } = judge(mutant, run);
      return result(verdict, why);
    } finally {
      undo();
    }
  } catch (error) {
    if (isAbort(error)) throw error;
    return result('wrong', describeError(error));
  }
}
