import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let checkout: string;
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'flash-sale-cli-'));
  mkdirSync(join(checkout, 'cli'));
  copyFileSync(join(__dirname, '../../cli/flash-sale.mjs'), join(checkout, 'cli/flash-sale.mjs'));
});
afterEach(() => {
  rmSync(checkout, { recursive: true, force: true });
});

const launch = () =>
  spawnSync(process.execPath, [join(checkout, 'cli/flash-sale.mjs'), 'order', 'req-1'], {
    encoding: 'utf8',
  });

test('says what to run first when nothing has been built', () => {
  const { status, stdout, stderr } = launch();
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^flash-sale is not built yet: run "npm start".*or "npm run build".*\n$/);
});

test('hands the words of the command line to what was built', () => {
  mkdirSync(join(checkout, 'dist/cli'), { recursive: true });
  const main = 'console.log(process.argv.slice(2).join("+"))';
  writeFileSync(join(checkout, 'dist/cli/main.js'), main);
  expect(launch().stdout).toBe('order+req-1\n');
});
