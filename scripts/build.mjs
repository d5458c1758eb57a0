// Installs the packages and builds dist/, each only where it is out of date. Runs before any package is installed: Node alone.
import { spawn } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { constants, uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const MODULES = join(ROOT, 'node_modules');
const PACKAGE_LOCK = join(ROOT, 'package-lock.json');
const DIST = join(ROOT, 'dist');

/** npm start and npm test may run this script at the same time. */
const LOCK = join(ROOT, 'var', 'build.lock');
/** An installation and a build take two minutes on a slow machine. */
const LOCK_MS_MAX = 600_000;

/** When stopped, npm removes what it has installed, which takes as long again. It is killed after this time instead. */
const STOP_MS_MAX = 1_000;

let child;
let holdsLock = false;
process.on('exit', () => {
  if (holdsLock) rmSync(LOCK, { force: true });
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => {
    const exit = () => process.exit(128 + constants.signals[name]);
    if (!child) exit();
    child.once('exit', exit).kill(name);
    setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  });
}

await takeLock();
if (!isInstalled()) {
  const options = ['--no-fund', '--no-audit', '--loglevel=error'];
  await run('Installing the packages (about 400 MB on disk)', 'npm', ['ci', ...options]);
}
linkCommand();
if (process.argv[2] !== 'packages') {
  removeStale();
  checkBuildInfo();
  const tsc = join(MODULES, 'typescript', 'bin', 'tsc');
  await run('Building', process.execPath, [tsc, '-b', 'tsconfig.build.json']);
  copyFiles();
  await bundleWorkflows();
}

async function takeLock() {
  mkdirSync(dirname(LOCK), { recursive: true });
  const deadline = Date.now() + LOCK_MS_MAX;
  const note = setTimeout(() => console.log('Waiting for another build of this folder ...'), 1_000);
  while (!holdsLock) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
      holdsLock = true;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (!holderLives() || Date.now() > deadline) rmSync(LOCK, { force: true });
      else await sleep(100);
    }
  }
  clearTimeout(note);
}

function holderLives() {
  const pid = existsSync(LOCK) ? Number(readFileSync(LOCK, 'utf8')) : 0;
  const lockedAt = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
  // In a container, pids repeat after a restart: a lock of this pid, or from before the start of the machine, is left over.
  if (pid === process.pid || lockedAt < Date.now() - uptime() * 1_000) return false;
  // 0: the file has just been created and its content is not written yet.
  if (pid === 0) return Date.now() - lockedAt < 1_000;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Compares package-lock.json with npm's own list of what is installed, which npm writes last. */
function isInstalled() {
  const listFile = join(MODULES, '.package-lock.json');
  if (!existsSync(listFile)) return false;
  const installed = JSON.parse(readFileSync(listFile, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(PACKAGE_LOCK, 'utf8')).packages;
  return Object.entries(wanted).every(([path, { version, optional, integrity }]) => {
    // '' is the project itself. An optional package may be for another platform.
    if (path === '' || (optional && !installed[path])) return true;
    return installed[path]?.version === version && installed[path].integrity === integrity;
  });
}

/** Makes `npx flash-sale` work in this folder: npm links only the commands of dependencies. */
function linkCommand() {
  const link = join(MODULES, '.bin', 'flash-sale');
  if (lstatSync(link, { throwIfNoEntry: false })) return;
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join('..', '..', 'cli', 'flash-sale.mjs'), link);
}

/** Removes the output of sources that no longer exist, because a program could still load it. */
function removeStale() {
  if (!existsSync(DIST)) return;
  for (const name of readdirSync(DIST, { recursive: true })) {
    if (!name.includes('/') || !/\.(js|lua|sql)$/.test(name)) continue;
    if (existsSync(join(ROOT, name.replace(/\.js$/, '.ts')))) continue;
    // The compiler does not look whether its output exists. Without its notes it writes everything again.
    rmSync(join(DIST, '.tsbuildinfo'), { force: true });
    rmSync(join(DIST, name), { force: true });
    rmSync(join(DIST, `${name}.map`), { force: true });
  }
}

/**
 * `tsc -b` looks only at sources that are newer than its build information, and not whether an output exists. It misses a
 * file that was saved during the last build, one that was restored with an old time, and an output that was deleted.
 * Without the build information it compiles everything.
 */
function checkBuildInfo() {
  const buildInfo = join(DIST, '.tsbuildinfo');
  const stampFile = join(DIST, '.sources.json');
  const builtAt = statSync(buildInfo, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const before = existsSync(stampFile) ? JSON.parse(readFileSync(stampFile, 'utf8')) : {};
  const now = {};
  for (const name of sources()) {
    const { mtimeMs, size } = statSync(join(ROOT, name));
    now[name] = `${mtimeMs} ${size}`;
    const isMissed = now[name] !== before[name] && mtimeMs <= builtAt;
    if (isMissed || !existsSync(join(DIST, name.replace(/\.ts$/, '.js')))) {
      rmSync(buildInfo, { force: true });
    }
  }
  mkdirSync(DIST, { recursive: true });
  // Times from before the compiler reads the files.
  writeFileSync(stampFile, JSON.stringify(now));
}

/** The compiled files, relative to the repository. */
function sources() {
  const excluded = ['node_modules', 'dist', 'var', 'coverage', 'test'];
  const folders = readdirSync(ROOT, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && !entry.name.startsWith('.') && !excluded.includes(entry.name),
  );
  return folders.flatMap(({ name }) =>
    readdirSync(join(ROOT, name), { recursive: true })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
      .map((file) => join(name, file)),
  );
}

/** What is read as it is, from beside the code that reads it. */
function copyFiles() {
  for (const folder of [
    join('engine', 'stock', 'scripts'),
    join('engine', 'archive', 'migrations'),
  ]) {
    mkdirSync(join(DIST, folder), { recursive: true });
    for (const name of readdirSync(join(ROOT, folder))) {
      const source = readFileSync(join(ROOT, folder, name));
      const copy = join(DIST, folder, name);
      if (!existsSync(copy) || !readFileSync(copy).equals(source)) writeFileSync(copy, source);
    }
  }
}

/** Bundling takes 1 to 4 s, so it is done only when the code that runs in workflows, or a package, has changed. */
async function bundleWorkflows() {
  const bundle = join(DIST, 'workflow-bundle.js');
  const inputs = ['engine/orders', 'workflows'].flatMap((folder) =>
    readdirSync(join(DIST, folder)).map((name) => join(DIST, folder, name)),
  );
  const changedAt = Math.max(...[PACKAGE_LOCK, ...inputs].map((file) => statSync(file).mtimeMs));
  if (existsSync(bundle) && statSync(bundle).mtimeMs > changedAt) return;
  const { bundleWorkflowCode, DefaultLogger } = createRequire(import.meta.url)(
    '@temporalio/worker',
  );
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(DIST, 'workflows', 'index.js'),
    logger: new DefaultLogger('WARN'),
  });
  // A worker that starts at this moment reads the whole old bundle or the whole new one.
  writeFileSync(`${bundle}.new`, code);
  renameSync(`${bundle}.new`, bundle);
}

/** Runs a program. Reports `what` when it takes longer than a second, and the program's output when it fails. */
async function run(what, command, args) {
  const startedAt = Date.now();
  const elapsed = () => `${((Date.now() - startedAt) / 1000).toFixed(0)} s`;
  let output = '';
  const first = setTimeout(() => console.log(`${what} ...`), 1_000);
  const again = setInterval(() => console.log(`${what} ... ${elapsed()}`), 5_000);
  child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  const code = await new Promise((resolve) => {
    child.once('close', resolve).once('error', (error) => {
      output += error.message;
      resolve(127);
    });
  });
  child = undefined;
  clearTimeout(first);
  clearInterval(again);
  if (code === 0) return;
  console.error(`${what} failed:\n${output.trimEnd()}`);
  process.exit(1);
}
