// npm start, test, check, bench, chaos and mutants: brings packages and dist/ up to date, then runs the command.
// Runs before any package is installed: Node alone.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const NODE_MIN = [20, 19];

const COMMANDS = {
  start: runBuilt('stack'),
  test,
  check,
  mutants: runBuilt('proof/mutants'),
  chaos: runBuilt('proof/chaos'),
  bench: runBuilt('proof/bench'),
};

/** How often to look whether npm's shell still runs. */
const PARENT_LOOK_MS = 500;

/** The child that runs now: signals are passed on to it. */
let child;
/** The first signal. After it nothing new is started. */
let stoppedBy;

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => stop(name));

// npm passes a SIGTERM on to the shell between npm and this process. The shell dies of it and tells nobody. A shell that
// started this process by hand may end earlier, so only npm's is watched.
if (process.env.npm_lifecycle_event) {
  const parent = process.ppid;
  const looking = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(looking);
    stop('SIGTERM');
  }, PARENT_LOOK_MS).unref();
}

const [name, ...args] = process.argv.slice(2);
const command = COMMANDS[name];
if (!command)
  fail(`Usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join('|')} [options]`);
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
  fail(
    `Node ${NODE_MIN.join('.')} or newer is needed, this is ${process.versions.node}: install a newer one (for example with nvm install 22).`,
  );
}
if (process.platform === 'win32') {
  fail('This stack runs on Linux and macOS: on Windows, use it inside WSL.');
}
const built = await run(
  process.execPath,
  [join(ROOT, 'scripts', 'build.mjs'), ...(command === check ? ['packages'] : [])],
  { stdio: 'inherit' },
);
process.exit(built === 0 ? await command(args) : built);

/** The main.js of a folder, as a command. */
function runBuilt(folder) {
  return (args) =>
    // Its own process group, so that Ctrl-C reaches it once, through this process. The channel closes when this one ends.
    run(process.execPath, [join(ROOT, 'dist', folder, 'main.js'), ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    });
}

async function test(args) {
  const jest = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
  // A watching jest reads the keyboard and has to stay in the terminal's process group.
  const detached = !args.some((arg) => arg.startsWith('--watch'));
  const ended = run(process.execPath, [jest, ...args], { stdio: 'inherit', detached });
  const { pid } = child;
  const code = await ended;
  // The workers of a killed jest would wait for it for ever.
  if (detached) killGroup(pid);
  return code;
}

/** Runs the checks of package.json, those first that find something soonest. */
async function check() {
  let exitCode = 0;
  for (const name of ['typecheck', 'lint', 'boundaries', 'unused', 'format:check', 'secrets']) {
    const startedAt = Date.now();
    let output = '';
    const ended = run('npm', ['run', '--silent', name], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    }
    const passed = (await ended) === 0;
    exitIfStopped();
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${name.padEnd(14)} ${seconds} s`);
    if (passed) continue;
    exitCode = 1;
    console.log(output.trimEnd().replaceAll(/^/gm, '    '));
  }
  return exitCode;
}

/** Runs a program and returns its exit code, as a shell counts it. Exits instead when a signal has arrived. */
async function run(command, args, options) {
  exitIfStopped();
  child = spawn(command, args, { cwd: ROOT, ...options });
  const code = await new Promise((resolve) => {
    child.once('error', (error) => fail(`Cannot run ${command}: ${error.message}`));
    child.once('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
  child = undefined;
  return code;
}

function stop(signal) {
  stoppedBy ??= signal;
  if (child) child.kill(signal);
  else exitIfStopped();
}

function exitIfStopped() {
  if (stoppedBy) process.exit(128 + constants.signals[stoppedBy]);
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: all have ended.
    if (error.code !== 'ESRCH') throw error;
  }
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
