import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { operatorToken, operatorTokenFile } from '../../stack/data-dir';

const folder = mkdtempSync(join(tmpdir(), 'operator-token-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('the token of a data folder is random, kept, and readable by its owner alone', () => {
  const token = operatorToken(folder);
  expect(token).toMatch(/^[\w-]{32}$/);
  expect(operatorToken(folder)).toBe(token);
  expect(readFileSync(operatorTokenFile(folder), 'utf8')).toBe(`${token}\n`);
  expect(statSync(operatorTokenFile(folder)).mode & 0o777).toBe(0o600);
  const other = mkdtempSync(join(tmpdir(), 'operator-token-'));
  expect(operatorToken(other)).not.toBe(token);
  rmSync(other, { recursive: true });
});
