import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
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

const ann = createCredential('ann', 'operate', 0).credential;
const bob = createCredential('bob', 'read', 0).credential;

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'operators-'));
  file = join(folder, 'operators.json');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('a change of the file', () => {
  test('makes it, readable by its owner alone, and keeps what it had', async () => {
    await changeCredentials(file, () => [ann]);
    await changeCredentials(file, (had) => [...had, bob]);
    expect(await readCredentials(file)).toEqual([ann, bob]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  test('follows a link to it', async () => {
    await changeCredentials(file, () => [ann]);
    const link = join(folder, 'link');
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
    const nowhere = join(folder, 'none', 'operators.json');
    await expect(changeCredentials(nowhere, () => [ann])).rejects.toThrow(/Cannot write .*ENOENT/);
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
