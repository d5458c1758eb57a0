import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { misspelledVariables, variablesRead } from '../platform/config';

const ROOT = join(__dirname, '..');
const SCRIPTS = join(ROOT, 'engine', 'stock', 'scripts');
const read = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8');

describe.each(readdirSync(SCRIPTS))('engine/stock/scripts/%s', (file) => {
  const source = readFileSync(join(SCRIPTS, file), 'utf8');
  const end = source.indexOf(']]');
  const [header, body] = [source.slice(0, end), source.slice(end)];

  test.each(['KEYS', 'ARGV'])('documents every %s slot it uses, and no other', (table) => {
    const slots = (text: string) =>
      [
        ...new Set([...text.matchAll(new RegExp(`${table}\\[(\\d+)\\]`, 'g'))].map((m) => m[1])),
      ].sort();
    expect(slots(header)).toEqual(slots(body));
  });

  test('documents what it returns', () => {
    expect(header).toMatch(/^\s*Returns\b/m);
  });
});

/** Read, and no setting of this engine: one that is refused, and where a home folder lies. */
const UNLISTED = ['TEMPORAL_TLS_DISABLE_HOST_VERIFICATION', 'HOME', 'XDG_CONFIG_HOME'];

describe('the documents', () => {
  const folders = readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .filter((name) => !['node_modules', 'dist', 'var', 'coverage'].includes(name));

  test.each(folders)('ARCHITECTURE.md says what is in %s/', (folder) => {
    expect(read('ARCHITECTURE.md')).toContain(`\`${folder}/\``);
  });

  test('.env.example names every variable that the loader reads, and no other', () => {
    const loaded = [...variablesRead()];
    const shown = [...read('.env.example').matchAll(/^#? ?([A-Z_]+)=/gm)].map((match) => match[1]);
    const missing = loaded.filter((name) => !UNLISTED.includes(name) && !shown.includes(name));
    expect(missing).toEqual([]);
    const env = Object.fromEntries(shown.map((name = '') => [name, 'x'] as const));
    expect(misspelledVariables(env)).toEqual([]);
    const stack = ['stack', 'cli']
      .flatMap((folder) => sources(folder))
      .concat(read('docker-compose.yml'))
      .join('\n');
    const unknown = shown.filter((name) => name && !loaded.includes(name) && !stack.includes(name));
    expect(unknown).toEqual([]);
  });

  test('docs/guarantees.md names only tests that exist', () => {
    const named = [
      ...read('docs', 'guarantees.md').matchAll(/`(test\/[\w./-]+\.ts)`(?: "([^"]+)")?/g),
    ];
    expect(named.length).toBeGreaterThan(0);
    for (const [, file = '', title] of named) {
      expect([file, existsSync(join(ROOT, file))]).toEqual([file, true]);
      if (title) expect(read(file)).toContain(title);
    }
  });
});

describe('the tests', () => {
  test('are all run: none is marked to run alone', () => {
    const alone = /\b(?:test|describe|it)\.only\(|\bf(?:it|describe)\(/;
    const marked = sources('test').filter((text) => alone.test(text) && !text.includes('alone ='));
    expect(marked).toEqual([]);
  });
});

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs)$/.test(name))
    .map((name) => read(folder, name));
}
