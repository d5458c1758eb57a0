import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MUTANTS } from '../../../proof/mutants/catalogue';
import { mutate } from '../../../proof/mutants/mutant';

const ROOT = join(__dirname, '..', '..', '..');

describe.each(MUTANTS)('the mutant $name', (mutant) => {
  test('fits the source: each of its texts is there exactly once', () => {
    const changed = mutate(ROOT, mutant);
    expect([...changed.keys()].sort()).toEqual(
      [...new Set(mutant.edits.map(({ file }) => file))].sort(),
    );
  });

  test('names tests that exist', () => {
    expect(mutant.tests.length).toBeGreaterThan(0);
    expect(mutant.tests.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });
});

describe('the mutants', () => {
  test('have a name each', () => {
    const names = MUTANTS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('that no longer fit say which text is missing, and where', () => {
    const stale = {
      ...{ name: 'stale', breaks: '', tests: [] },
      edits: [{ file: 'engine/orders/invariant.ts', find: 'no such text', replace: '' }],
    };
    expect(() => mutate(ROOT, stale)).toThrow(
      'The mutant "stale" no longer fits: engine/orders/invariant.ts holds its text 0 times, not once:\nno such text',
    );
  });
});
