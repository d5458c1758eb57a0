import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached } from '../../stack/installer';

const ENTRY = { name: 'tool-1.0', proof: 'bin' };

let cacheDir = '';
beforeEach(() => {
  cacheDir = join(mkdtempSync(join(tmpdir(), 'cache-')), 'flash-sale-engine');
});
afterEach(() => {
  rmSync(join(cacheDir, '..'), { recursive: true });
});

const fill = (folder: string) => {
  writeFileSync(join(folder, 'bin'), '');
  return Promise.resolve();
};

describe('the cache of installed programs', () => {
  test('fills an entry once', async () => {
    const folder = await cached(cacheDir, ENTRY, fill);
    const again = await cached(cacheDir, ENTRY, () => Promise.reject(new Error('filled twice')));
    expect([again, existsSync(join(folder, 'bin'))]).toEqual([folder, true]);
  });

  test('holds nothing of an installation that failed half-way', async () => {
    const half = async (folder: string) => {
      await fill(folder);
      throw new Error('interrupted');
    };
    await expect(cached(cacheDir, ENTRY, half)).rejects.toThrow('interrupted');
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  test('rejects an installation without the expected file', async () => {
    await expect(cached(cacheDir, ENTRY, () => Promise.resolve())).rejects.toThrow('without bin');
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  test('gives two stacks that install at once the same entry', async () => {
    const both = await Promise.all([cached(cacheDir, ENTRY, fill), cached(cacheDir, ENTRY, fill)]);
    expect(new Set(both).size).toBe(1);
    expect(readdirSync(cacheDir)).toEqual(['tool-1.0']);
  });

  test('replaces an incomplete entry', async () => {
    mkdirSync(join(cacheDir, 'tool-1.0'), { recursive: true });
    writeFileSync(join(cacheDir, 'tool-1.0', 'something else'), '');
    const folder = await cached(cacheDir, ENTRY, fill);
    expect(readdirSync(folder)).toEqual(['bin']);
  });

  test('removes what a killed installation left behind', async () => {
    // Above every number that a system gives to a process.
    mkdirSync(join(cacheDir, '.partial-99999999-x'), { recursive: true });
    await cached(cacheDir, ENTRY, fill);
    expect(readdirSync(cacheDir)).toEqual(['tool-1.0']);
  });
});
