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

describe('the last words of a process', () => {
  test('are its warnings and errors where the log is JSON lines', () => {
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

  test('include what was printed beside the JSON lines', () => {
    writeFileSync(file, '{"level":"info","msg":"starting"}\nError: Bad configuration\n{cut off');
    expect(logTail(file, 0)).toContain('\n    Error: Bad configuration\n    {cut off');
  });

  test('are the last lines where the log is plain text', () => {
    writeFileSync(file, Array.from({ length: 40 }, (_, at) => `line ${at}`).join('\n'));
    expect(logTail(file, 0)).toContain('    line 39');
    expect(logTail(file, 0)).not.toContain('    line 20\n');
  });

  test('begin where this start began', () => {
    writeFileSync(file, 'of an earlier start\n');
    const from = logSize(file);
    writeFileSync(file, 'of this start\n', { flag: 'a' });
    expect(logTail(file, from)).not.toContain('earlier');
    expect(logTail(file, from)).toContain('of this start');
  });

  test('are only the place of the log when there are none', () => {
    expect(logTail(file, 0)).toBe(`\n    (log: ${file})`);
  });
});
