import type { Checkout } from './checkout';
import type { Mutant } from './mutant';
import { runTests, type FailedTest, type TestRun } from './test-run';
import type { Env } from '../../platform/config';
import { type Report, seconds } from '../../stack/report';

/** What became of one mutant. */
export interface Catch {
  readonly mutant: Mutant;
  /** The first test that failed; undefined when the mutant has survived. */
  readonly by: FailedTest | undefined;
  /** How many other tests failed, too. */
  readonly others: number;
  readonly tookMs: number;
}

export interface HuntOptions {
  readonly mutants: readonly Mutant[];
  readonly checkout: Checkout;
  readonly env: Env;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** All tests of all mutants together, on the sound source. */
const SOUND_MS_MAX = 240_000;
/** A mutant that makes its tests wait is caught by their time-outs, not by this. */
const MUTANT_MS_MAX = 120_000;

/**
 * Runs the tests of each mutant against it. Throws when they fail without any mutant, since nothing could be told from
 * their failures then, when a mutant no longer fits, and when its tests cannot be run at all.
 */
export async function hunt(options: HuntOptions): Promise<Catch[]> {
  const { mutants, report } = options;
  await expectSound(options);
  const caught: Catch[] = [];
  for (const mutant of mutants) {
    const at = `[${String(caught.length + 1).padStart(2)}/${String(mutants.length)}]`;
    const one = await huntOne(mutant, options);
    caught.push(one);
    const verdict = one.by ? `caught by "${one.by.title}"` : 'SURVIVED';
    report(`  ${at} ${seconds(one.tookMs).padStart(6)}  ${mutant.name}: ${verdict}`);
  }
  return caught;
}

async function expectSound({ mutants, checkout, env, signal, report }: HuntOptions): Promise<void> {
  const startedAt = Date.now();
  const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
  report(`The ${String(tests.length)} test files without any mutant ...`);
  const run = await runTests(checkout.root, { tests, env, signal, msMax: SOUND_MS_MAX });
  const faults = [...run.unrunnable, ...run.failed.map(named)];
  if (faults.length > 0 || run.passed === 0) {
    throw new Error(`The tests fail without any mutant:\n${faults.join('\n')}`);
  }
  report(`  ${String(run.passed)} passed in ${seconds(Date.now() - startedAt)}.`);
}

async function huntOne(mutant: Mutant, { checkout, env, signal }: HuntOptions): Promise<Catch> {
  const startedAt = Date.now();
  const undo = await checkout.apply(mutant, signal);
  try {
    const { tests, only } = mutant;
    const run = await runTests(checkout.root, { tests, only, env, signal, msMax: MUTANT_MS_MAX });
    expectVerdict(mutant, run);
    const [by] = run.failed;
    const others = Math.max(run.failed.length - 1, 0);
    return { mutant, by, others, tookMs: Date.now() - startedAt };
  } finally {
    undo();
  }
}

/** A file that does not load says nothing about the rule, and neither does a run without tests. */
function expectVerdict({ name }: Mutant, run: TestRun): void {
  if (run.unrunnable.length > 0) {
    throw new Error(`The tests cannot be run with "${name}":\n${run.unrunnable.join('\n')}`);
  }
  if (run.passed + run.failed.length === 0) throw new Error(`No test was run for "${name}"`);
}

function named({ file, title }: FailedTest): string {
  return `${file} "${title}"`;
}

/** The catches as a table in Markdown. */
export function catchTable(caught: readonly Catch[]): string {
  const rows = caught.map(({ mutant, by, others, tookMs }) => {
    const more = others > 0 ? ` and ${String(others)} more` : '';
    const who = by ? `\`${by.file}\` "${by.title}"${more}` : '**survived**';
    return `| ${mutant.name} | ${mutant.breaks} | ${who} | ${seconds(tookMs)} |`;
  });
  return ['| mutant | the rule it breaks | caught by | took |', '|---|---|---|---|', ...rows].join(
    '\n',
  );
}
