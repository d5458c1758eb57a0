import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { escapeRegExp } from '../../../proof/mutants/jest-run';
import { judge, readMutants } from '../../../proof/mutants/mutants';

const ROOT = join(__dirname, '..', '..', '..');
const MUTANTS = readMutants(join(ROOT, 'proof', 'mutants', 'patches'));

describe.each(MUTANTS)('the mutant $name', ({ patchFile, fails, passes }) => {
  test('applies to the source', () => {
    // Throws with what git says. A patch that needs mending: git apply --3way.
    execFileSync('git', ['apply', '--check', patchFile], { cwd: ROOT, stdio: 'pipe' });
  });

  test('names tests that exist', () => {
    const named = [...fails, ...passes];
    expect(named.filter(({ file }) => !existsSync(join(ROOT, file)))).toEqual([]);
    expect(named.map(({ title }) => title).filter((title) => !isTitle(title))).toEqual([]);
  });
});

const SOURCES = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(ROOT, 'test', file), 'utf8'))
  .join('\n');

/** Titles of `test.each`, as patterns. Those that are only a placeholder would match everything. */
const PATTERNS = [...SOURCES.matchAll(/'([^'\n]*(?:%s|\$name)[^'\n]*)'/g)]
  .map(([, title = '']) => title.split(/%s|\$name/))
  .filter((texts) => texts.some((text) => text.trim() !== ''))
  .map((texts) => new RegExp(`^${texts.map(escapeRegExp).join('.*')}$`));

/** Whether the title, or the `test.each` title that it is made from, is written in a test file. */
function isTitle(title: string): boolean {
  return SOURCES.includes(title) || PATTERNS.some((pattern) => pattern.test(title));
}

describe('reading the head of a patch', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'patches-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test('finds the rule and the tests, also when a title has a colon', () => {
    const patchFile = join(folder, 'no-lock.patch');
    const head =
      'Rule: One at a time.\nFails: test/a.test.ts: waits: once\nPasses: test/a.test.ts: starts\n';
    writeFileSync(patchFile, `${head}\ndiff --git a/a.ts b/a.ts\n+Rule: not this one\n`);
    expect(readMutants(folder)).toEqual([
      {
        name: 'no-lock',
        patchFile,
        rule: 'One at a time.',
        fails: [{ file: 'test/a.test.ts', title: 'waits: once' }],
        passes: [{ file: 'test/a.test.ts', title: 'starts' }],
      },
    ]);
  });

  test('rejects a patch that names no test', () => {
    writeFileSync(join(folder, 'vague.patch'), 'Rule: Something.\n\ndiff --git a/a.ts b/a.ts\n');
    expect(() => readMutants(folder)).toThrow('vague.patch must begin with');
  });
});

describe('a mutant', () => {
  const file = 'test/a.test.ts';
  const about = { file, title: 'is about the rule' };
  const other = { file, title: 'is about something else' };
  const mutant = { fails: [about], passes: [] };

  test('is caught when exactly the named tests fail', () => {
    const verdict = judge(mutant, { passed: [other], failed: [about] });
    expect(verdict).toEqual({ verdict: 'caught', why: '' });
  });

  test('survives when every test passes', () => {
    const verdict = judge(mutant, { passed: [about, other], failed: [] });
    expect(verdict).toEqual({ verdict: 'survived', why: '' });
  });

  test('is wrong when a test fails that it does not name', () => {
    expect(judge(mutant, { passed: [], failed: [about, other] })).toEqual({
      verdict: 'wrong',
      why: 'These tests fail and are not named:\n    test/a.test.ts: is about something else',
    });
  });

  test('is wrong when only other tests fail', () => {
    const { verdict, why } = judge(mutant, { passed: [about], failed: [other] });
    expect(verdict).toBe('wrong');
    expect(why).toContain('is about the rule');
  });

  test('is wrong when no test runs', () => {
    expect(judge(mutant, { passed: [], failed: [] }).verdict).toBe('wrong');
  });

  test('is wrong when a test does not pass that must pass', () => {
    const withPasses = { fails: [about], passes: [other] };
    expect(judge(withPasses, { passed: [], failed: [about] }).verdict).toBe('wrong');
  });
});
