import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODULES } from '../../stack/checkout';

const ROOT = join(__dirname, '..', '..');

test.each(Object.entries(MODULES))(
  '--against finds %s in a checkout like this one',
  (name, paths) => {
    const source = readFileSync(join(ROOT, (paths[0] ?? '').replace(/[.]js$/, '.ts')), 'utf8');
    expect(source).toMatch(new RegExp(`export (async )?function ${name}[(]`));
  },
);
