// npm start, npm test, npm run check, npm run mutants, npm run chaos, npm run bench. Runs on a fresh clone, before any package is installed: Node alone.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const MODULES = join(ROOT, 'node_modules');
const LOCK_FILE = join(ROOT, 'package-lock.json');
const STAMP = join(MODULES, '.flash-sale-lock');
const QUIET = ['--no-fund', '--no-audit', '--loglevel=error'];
const NODE_MIN = [20, 19];

/** npm scripts of package.json, in the order of how soon they find something. */
const CHECKS = ['typecheck', 'lint', 'boundaries', 'unused', 'format:check'];

const COMMANDS = {
  start: runBuilt('stack'),
  test,
  check,
  mutants: runBuilt('proof/mutants'),
  chaos: runBuilt('proof/chaos'),
  bench: runBuilt('proof/bench'),
};

/** How often we look whether npm's shell still lives. */
const PARENT_LOOK_MS = 500;
const INSTALLER_STOP_MS = 1_000;

/** The child that runs now: a signal for us is a signal for it. */
let child;
/** Set by the first signal; nothing new is begun after it. */
let stoppedBy;
let isInstalling = false;

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => stop(name));

// npm hands a SIGTERM on to the shell between us, which dies of it and tells nobody. A shell that
// started us by hand may well end before us, so only npm's is watched.
if (process.env.npm_lifecycle_event) {
  const parent = process.ppid;
  const looking = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(looking);
    stop('SIGTERM');
  }, PARENT_LOOK_MS).unref();
}

await main(process.argv[2], process.argv.slice(3));

async function main(name, args) {
  const command = COMMANDS[name];
  if (!command)
    fail(`Usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join('|')} [options]`);
  const problem = unfit();
  if (problem) fail(problem);
  await installPackages();
  linkCommand();
  process.exit(await command(args));
}

function stop(signal) {
  stoppedBy ??= signal;
  child?.kill(signal);
  // npm takes back what it has installed so far, which takes as long again. Nobody needs that: the stamp is not
  // written, so the next start begins anew.
  if (isInstalling) setTimeout(() => child?.kill('SIGKILL'), INSTALLER_STOP_MS).unref();
}

function unfit() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    return `Node ${NODE_MIN.join('.')} or newer is needed, this is ${process.versions.node}: install a newer one (for example with nvm install 22).`;
  }
  if (process.platform === 'win32') {
    return 'This stack runs on Linux and macOS: on Windows, use it inside WSL.';
  }
  return undefined;
}

/** The main.js of a folder, as a command. */
function runBuilt(folder) {
  return async (args) => {
    await build();
    // A group of its own, so that Ctrl-C reaches it through us, once; the channel tells it when we are gone.
    return run(process.execPath, [join(ROOT, 'dist', folder, 'main.js'), ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    });
  };
}

async function test(args) {
  await build();
  const jest = join(MODULES, 'jest', 'bin', 'jest.js');
  // Only who reads the keyboard has to stay in the terminal's own group.
  const detached = !args.some((arg) => arg.startsWith('--watch'));
  const ended = run(process.execPath, [jest, ...args], { stdio: 'inherit', detached });
  const { pid } = child;
  const code = await ended;
  // Workers of a jest that was killed would wait for it for ever.
  if (detached) killGroup(pid);
  return code;
}

async function check() {
  let failures = 0;
  for (const name of CHECKS) {
    const startedAt = Date.now();
    const { code, output } = await capture('npm', ['run', '--silent', name]);
    const passed = code === 0;
    if (!passed) failures += 1;
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${name.padEnd(14)} ${seconds(startedAt)}`);
    if (!passed) console.log(indent(output));
  }
  return failures === 0 ? 0 : 1;
}

async function build() {
  const { code } = await capture(process.execPath, [join(ROOT, 'scripts', 'build.mjs')], {
    passOutput: true,
  });
  if (code !== 0) process.exit(code);
}

/** npm ci, unless what is there was installed from this very package-lock.json. */
async function installPackages() {
  const lock = readFileSync(LOCK_FILE);
  const hash = createHash('sha256').update(lock).digest('hex');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hash) return;
  if (!matchesLock(JSON.parse(lock))) {
    const startedAt = Date.now();
    console.log('Installing the packages (about 400 MB on disk) ...');
    const timer = setInterval(() => {
      console.log(`Installing the packages ... ${seconds(startedAt)}`);
    }, 5_000);
    isInstalling = true;
    const { code, output } = await capture('npm', ['ci', ...QUIET]);
    isInstalling = false;
    clearInterval(timer);
    if (code !== 0) fail(`The packages could not be installed:\n${indent(output)}`);
    console.log(`Installed the packages in ${seconds(startedAt)}.`);
  }
  // Written last: an interrupted installation is begun anew.
  writeFileSync(STAMP, hash);
}

/** Whether somebody has run npm ci by hand: npm keeps its own list of what it has installed. */
function matchesLock({ packages }) {
  const listFile = join(MODULES, '.package-lock.json');
  if (!existsSync(listFile)) return false;
  const installed = JSON.parse(readFileSync(listFile, 'utf8')).packages;
  return Object.entries(packages).every(([path, { version, optional, integrity }]) => {
    // The first is the project itself; optional ones are for other platforms.
    if (path === '' || (optional && !installed[path])) return true;
    return installed[path]?.version === version && installed[path].integrity === integrity;
  });
}

/** npm links only the commands of dependencies; with this, `npx flash-sale` works here, too. */
function linkCommand() {
  const link = join(MODULES, '.bin', 'flash-sale');
  if (lstatSync(link, { throwIfNoEntry: false })) return;
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join('..', '..', 'cli', 'flash-sale.mjs'), link);
}

/** Runs a program to its end and answers its exit code, as a shell counts it. */
function run(command, args, options) {
  if (stoppedBy) process.exit(128 + constants.signals[stoppedBy]);
  return new Promise((resolve) => {
    child = spawn(command, args, { cwd: ROOT, ...options });
    child.once('error', (error) => {
      fail(`Cannot run ${command}: ${error.message}`);
    });
    child.once('exit', (code, signal) => {
      child = undefined;
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** Runs a program and keeps what it prints, both streams as they came. A signal that reached us ends us after it. */
async function capture(command, args, { passOutput = false } = {}) {
  let output = '';
  const code = run(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      if (passOutput) process.stdout.write(text);
    });
  }
  const result = { code: await code, output };
  if (stoppedBy) process.exit(128 + constants.signals[stoppedBy]);
  return result;
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Nobody is left in it, which is how it should be.
    if (error.code !== 'ESRCH') throw error;
  }
}

function seconds(startedAt) {
  return `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
}

function indent(text) {
  return text.trimEnd().replaceAll(/^/gm, '    ');
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
