// Compiles to dist/, copies the Lua scripts, bundles the workflows. When nothing has changed, it only looks: 0.1 s.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const DIST = join(ROOT, 'dist');
const STAMP = join(DIST, '.build-stamp');
const BUNDLE = join(DIST, 'workflow-bundle.js');
const BUNDLE_STAMP = join(DIST, '.bundle-stamp');
const LOCK = join(ROOT, 'node_modules', '.flash-sale-build');
const NOT_SOURCES = new Set(['node_modules', 'dist', 'var', 'coverage', 'test', '.git']);
/** A build takes 10 s on a small machine; whoever waits longer than this waits for one that hangs. */
const LOCK_MS_MAX = 120_000;

process.exitCode = await main();

async function main() {
  const startedAt = Date.now();
  if (isBuilt(sources())) return 0;
  await lock();
  try {
    const found = sources();
    // Somebody else has just built it.
    if (isBuilt(found)) return 0;
    console.log('Building ...');
    rmSync(STAMP, { force: true });
    removeStale(found);
    const typesAreRight = await compile();
    copyScripts(found);
    await bundleWorkflows();
    if (!typesAreRight) return 1;
    writeFileSync(STAMP, fingerprint(found));
    console.log(`Built in ${((Date.now() - startedAt) / 1000).toFixed(1)} s.`);
    return 0;
  } finally {
    rmSync(LOCK, { force: true });
  }
}

/** Every file that the build reads, with what tells that it has changed. */
function sources() {
  const found = [];
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !NOT_SOURCES.has(entry.name)) visit(path);
      else if (/(\.ts|\.lua|^tsconfig.*\.json|^package-lock\.json)$/.test(entry.name))
        found.push(path);
    }
  };
  visit(ROOT);
  return found.sort();
}

function fingerprint(files) {
  const hash = createHash('sha256');
  for (const file of files) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${file} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex');
}

function isBuilt(files) {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === fingerprint(files);
}

/** What was compiled from a source that is gone would still be found by whoever imports it. */
function removeStale(files) {
  if (!existsSync(DIST)) return;
  const wanted = new Set(files.map((file) => compiled(file)));
  for (const name of readdirSync(DIST, { recursive: true })) {
    const path = join(DIST, name);
    const isOutput = name.includes('/') && /\.(js|lua)$/.test(name);
    if (isOutput && !wanted.has(path)) {
      rmSync(path, { force: true });
      rmSync(`${path}.map`, { force: true });
    }
  }
  // The compiler trusts its notes: it does not write again what it believes to be there.
  if ([...wanted].some((path) => path.endsWith('.js') && !existsSync(path))) {
    rmSync(join(DIST, '.tsbuildinfo'), { force: true });
  }
}

function compiled(file) {
  return join(DIST, relative(ROOT, file)).replace(/(?<!\.d)\.ts$/, '.js');
}

/** Whether the types are right; the code is written in either case. */
function compile() {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const compiler = spawn(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  // Whoever ends the build means the compiler, too, which would go on for seconds.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(name, () => {
      compiler.kill(name);
      process.exit(128 + constants.signals[name]);
    });
  }
  return new Promise((resolve, reject) => {
    compiler.once('error', reject).once('exit', (code) => resolve(code === 0));
  });
}

function copyScripts(files) {
  for (const file of files.filter((path) => path.endsWith('.lua'))) {
    mkdirSync(dirname(compiled(file)), { recursive: true });
    copyFileSync(file, compiled(file));
  }
}

/** Bundling costs 1 to 4 s, so it is done only when the code that runs inside workflows has changed. */
async function bundleWorkflows() {
  const workflowsPath = join(DIST, 'workflows', 'index.js');
  if (!existsSync(workflowsPath)) return;
  const require = createRequire(import.meta.url);
  const hash = createHash('sha256').update(require('@temporalio/worker/package.json').version);
  for (const folder of ['engine/orders', 'workflows']) {
    for (const name of readdirSync(join(DIST, folder)).sort()) {
      if (name.endsWith('.js')) hash.update(readFileSync(join(DIST, folder, name)));
    }
  }
  const stamp = hash.digest('hex');
  if (
    existsSync(BUNDLE) &&
    existsSync(BUNDLE_STAMP) &&
    readFileSync(BUNDLE_STAMP, 'utf8') === stamp
  ) {
    return;
  }
  const { bundleWorkflowCode, DefaultLogger } = require('@temporalio/worker');
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('WARN') });
  // A worker that starts at this moment reads the old one or the new one, never half of it.
  writeFileSync(`${BUNDLE}.new`, code);
  renameSync(`${BUNDLE}.new`, BUNDLE);
  writeFileSync(BUNDLE_STAMP, stamp);
}

/** npm start and npm test may build at the same moment, and half-written files would be read. */
async function lock() {
  const deadline = Date.now() + LOCK_MS_MAX;
  for (;;) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (!holderLives() || Date.now() > deadline) rmSync(LOCK, { force: true });
    else await sleep(100);
  }
}

function holderLives() {
  const pid = existsSync(LOCK) ? Number(readFileSync(LOCK, 'utf8')) : 0;
  // Empty: it has been made and not yet written.
  if (pid === 0) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
