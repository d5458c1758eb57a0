import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

export type BuiltProcess = ReturnType<typeof startBuiltProcess>;

/** Starts a built process and does not wait until it is ready, as an orchestrator does. */
export function startBuiltProcess(main: string, port: number, env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [join(ROOT, 'dist', main)], {
    env: { ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => (output += data.toString()));
  }
  const url = `http://127.0.0.1:${String(port)}`;
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return {
    url,
    get,
    /** Standard output and error. */
    output: () => output,
    /** How many of its log lines have this message. */
    linesOf: (message: string) =>
      output.split('\n').filter((line) => line.includes(`"msg":"${message}"`)).length,
    signal: (name: NodeJS.Signals) => child.kill(name),
    /** Exit code and signal, once it has ended. */
    ended,
    terminate: () => {
      child.kill('SIGTERM');
      return ended;
    },
    /** Ends it whatever it does. */
    kill: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}
