import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { logTail, logSize } from '../../stack/guarded-process';

let file = '';
beforeEach(() => {
  file = join(mkdtempSync(join(tmpdir(), 'last-words-')), 'part.log');
});
afterEach(() => {
  rmSync(join(file, '..'), { recursive: true });
});

describe('the log tail of a process', () => {
  test('holds its warnings and errors where the log is JSON lines', () => {
    writeFileSync(
      file,
      [
        '{"level":"info","msg":"starting"}',
        '{"level":"warn","msg":"redis connection","err":"refused"}',
        '{"level":"fatal","msg":"cannot go on","err":{"message":"no topic"}}',
      ].join('\n'),
    );
    expect(logTail(file, 0)).toBe(
      `\n    warn: redis connection: refused\n    fatal: cannot go on: no topic\n    (log: ${file})`,
    );
  });

  test('holds what was printed beside the JSON lines', () => {
    writeFileSync(file, '{"level":"info","msg":"starting"}\nError: Bad configuration\n{cut off');
    expect(logTail(file, 0)).toContain('\n    Error: Bad configuration\n    {cut off');
  });

  test('holds the last lines where the log is plain text', () => {
    writeFileSync(file, Array.from({ length: 40 }, (_, at) => `line ${at}`).join('\n'));
    expect(logTail(file, 0)).toContain('    line 39');
    expect(logTail(file, 0)).not.toContain('    line 20\n');
  });

  test('begins at the current start', () => {
    writeFileSync(file, 'of an earlier start\n');
    const from = logSize(file);
    writeFileSync(file, 'of this start\n', { flag: 'a' });
    expect(logTail(file, from)).not.toContain('earlier');
    expect(logTail(file, from)).toContain('of this start');
  });

  test('holds only the path of the log when the log is empty', () => {
    expect(logTail(file, 0)).toBe(`\n    (log: ${file})`);
  });
});
