import {
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { register } from 'prom-client';
import {
  changeCredentials,
  readCredentials,
  watchCredentials,
  type CredentialWatch,
} from '../../../engine/operators/credential-file';
import { createCredential, formatCredentials } from '../../../engine/operators/credentials';
import { useTemporaryFolder } from '../../support/temporary-folder';

const ann = createCredential('ann', 'operate', 0).credential;
const bob = createCredential('bob', 'read', 0).credential;

const folder = useTemporaryFolder();
let file: string;
beforeEach(() => {
  file = join(folder(), 'operators.json');
});

describe('a change of the file', () => {
  test('makes it, readable by its owner alone, and keeps what it had', async () => {
    await changeCredentials(file, () => [ann]);
    await changeCredentials(file, (had) => [...had, bob]);
    expect(await readCredentials(file)).toEqual([ann, bob]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  test('keeps a mode that lets others read it', async () => {
    await changeCredentials(file, () => [ann]);
    chmodSync(file, 0o640);
    await changeCredentials(file, (had) => [...had, bob]);
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });

  test('keeps what another one wrote that came first, where there was no file', async () => {
    const realpath = jest.spyOn(fs, 'realpath').mockImplementationOnce(async (path) => {
      const found = fs.realpath(path).catch(async (error: unknown) => {
        await changeCredentials(file, () => [ann]);
        throw error;
      });
      return found;
    });
    await changeCredentials(file, (had) => [...had, bob]);
    realpath.mockRestore();
    expect(await readCredentials(file)).toEqual([ann, bob]);
  });

  test('follows a link to it', async () => {
    await changeCredentials(file, () => [ann]);
    const link = join(folder(), 'link');
    symlinkSync(file, link);
    await changeCredentials(link, (had) => [...had, bob]);
    expect(await readCredentials(file)).toEqual([ann, bob]);
  });

  test('that fails leaves it as it was, and may be tried again', async () => {
    writeFileSync(file, 'no credentials');
    await expect(changeCredentials(file, () => [ann])).rejects.toThrow(/operators.json is of no/);
    expect(readFileSync(file, 'utf8')).toBe('no credentials');
    rmSync(file);
    await changeCredentials(file, () => [ann]);
    expect(await readCredentials(file)).toEqual([ann]);
  });

  test('does not undo another one that is under way', async () => {
    writeFileSync(`${file}.new`, '');
    await expect(changeCredentials(file, () => [ann])).rejects.toThrow(/Another change is under/);
    expect(existsSync(`${file}.new`)).toBe(true);
  });

  test('in a folder that is not there says so', async () => {
    const nowhere = join(folder(), 'none', 'operators.json');
    await expect(changeCredentials(nowhere, () => [ann])).rejects.toThrow(/Cannot write .*ENOENT/);
  });
});

/** Only root can give files away. */
const testAsRoot = process.getuid?.() === 0 ? test : test.skip;
/** The user of the gateway, and another one. */
const [GATEWAY, OTHER] = [12_345, 54_321];

describe('a change of the file by another user than that of the gateway', () => {
  beforeEach(() => {
    if (process.getuid?.() === 0) chownSync(folder(), GATEWAY, GATEWAY);
  });
  const owner = () => {
    const { uid, gid, mode } = statSync(file);
    return [uid, gid, mode & 0o777];
  };
  const as = async <T>(uid: number, act: () => Promise<T>): Promise<T> => {
    process.seteuid?.(uid);
    try {
      return await act();
    } finally {
      process.seteuid?.(0);
    }
  };

  testAsRoot('leaves it to its owner and group', async () => {
    await changeCredentials(file, () => [ann]);
    chownSync(file, GATEWAY, OTHER);
    expect(await changeCredentials(file, (had) => [...had, bob])).toEqual({});
    expect(owner()).toEqual([GATEWAY, OTHER, 0o600]);
  });

  testAsRoot('gives the first one to the owner of its folder', async () => {
    expect(await changeCredentials(file, () => [ann])).toEqual({});
    expect(owner()).toEqual([GATEWAY, 0, 0o600]);
  });

  testAsRoot('is refused where the new one could not be given to its owner', async () => {
    await changeCredentials(file, () => [ann]);
    chmodSync(file, 0o644);
    chmodSync(folder(), 0o777);
    const changed = as(OTHER, () => changeCredentials(file, () => [bob]));
    await expect(changed).rejects.toThrow(/belongs to uid 12345 and gid 0, .*Nothing was changed/);
    expect(await readCredentials(file)).toEqual([ann]);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  testAsRoot('says so where the first one could not be given to that owner', async () => {
    chmodSync(folder(), 0o777);
    const { warning } = await as(OTHER, () => changeCredentials(file, () => [ann]));
    expect(warning).toMatch(
      /Only you can read .*uid 12345.*gateway's user must be able to read it/,
    );
    expect(owner()).toEqual([OTHER, 0, 0o600]);
  });
});

describe('a watched file', () => {
  let watch: CredentialWatch;
  let lines: string[];
  const start = async () => {
    lines = [];
    watch = await watchCredentials(
      file,
      pino({}, { write: (line: string) => void lines.push(line) }),
    );
    return watch;
  };
  afterEach(() => {
    watch.stop();
  });
  const faults = async () => {
    const metric = await register.getSingleMetric('flash_sale_operators_file_faults_total')?.get();
    return metric?.values[0]?.value;
  };

  test('is read again when it has changed', async () => {
    await changeCredentials(file, () => [ann]);
    const { current, look } = await start();
    expect(current()).toEqual([ann]);
    await changeCredentials(file, (had) => [...had, bob]);
    await look();
    expect(current()).toEqual([ann, bob]);
    await changeCredentials(file, () => [bob]);
    await look();
    expect(current()).toEqual([bob]);
    expect(lines.join('')).toContain(`"removed":[{"id":"${ann.id}"`);
    expect(lines.join('')).not.toContain(ann.sha256);
  });

  test.each([
    [
      'is gone',
      () => {
        rmSync(file);
      },
    ],
    [
      'is half written',
      () => {
        writeFileSync(file, formatCredentials([ann, bob]).slice(0, 90));
      },
    ],
    [
      'grants a role that is none',
      () => {
        writeFileSync(file, '{"operators":[{"role":"root"}]}');
      },
    ],
  ])(
    'that %s keeps its last credentials in force, is logged once and counted',
    async (_, spoil) => {
      await changeCredentials(file, () => [ann]);
      const { current, look, warnings } = await start();
      const before = (await faults()) ?? 0;
      spoil();
      await look();
      await look();
      expect(current()).toEqual([ann]);
      expect(warnings()).toHaveLength(1);
      expect(lines.filter((line) => line.includes('stay as they were'))).toHaveLength(1);
      expect(await faults()).toBe(before + 2);
      writeFileSync(file, formatCredentials([bob]));
      await look();
      expect([current(), warnings()]).toEqual([[bob], []]);
    },
  );

  test('that cannot be read at first is an error that names it', async () => {
    await expect(watchCredentials(file, pino({ level: 'silent' }))).rejects.toThrow(file);
    await changeCredentials(file, () => []);
    await start();
  });
});
