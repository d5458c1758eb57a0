// npm run test:compose: the tests that need a Docker engine. Prints one sentence if there is none.
import { spawn, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const succeeds = (...args) => spawnSync('docker', args, { stdio: 'ignore' }).status === 0;

const missing = !succeeds('info')
  ? 'No Docker engine responds ("docker info"): start one, or use npm start and npm test, which need none.'
  : !succeeds('compose', 'version')
    ? 'The Docker client has no Compose v2 ("docker compose version"): install its plugin.'
    : undefined;

if (missing === undefined) {
  const jest = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
  const env = { ...process.env, FLASH_SALE_TESTS: 'container' };
  spawn(process.execPath, [jest, ...process.argv.slice(2)], { cwd: ROOT, env, stdio: 'inherit' })
    // Jest receives the terminal's Ctrl-C itself and removes the project.
    .once('exit', (code) => process.exit(code ?? 1));
  process.on('SIGINT', () => undefined);
} else {
  process.stderr.write(`${missing}\n`);
  process.exitCode = 1;
}
