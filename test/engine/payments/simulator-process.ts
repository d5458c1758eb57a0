import { transformFileSync } from '@swc/core';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { until } from './running-simulator';

const ROOT = resolve(__dirname, '../../..');

/** The folders that the simulator's code is in. */
const PARTS = ['engine/orders', 'platform', 'engine/payments/simulator'];

/** Compiles the simulator into a folder of its own, so that it can run, and be killed, as a real process. */
export async function compileSimulator() {
  const folder = await mkdtemp(join(tmpdir(), 'simulator-'));
  for (const part of PARTS) {
    const files = await readdir(join(ROOT, part), { recursive: true });
    for (const file of files.filter((name) => name.endsWith('.ts'))) {
      const { code } = transformFileSync(join(ROOT, part, file), {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
        module: { type: 'commonjs' },
      });
      const target = join(folder, part, file.replace(/\.ts$/, '.js'));
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, code);
    }
  }
  return {
    mainFile: join(folder, 'engine/payments/simulator/main.js'),
    remove: () => rm(folder, { recursive: true }),
  };
}

interface ProcessOptions {
  readonly mainFile: string;
  readonly ledgerFile: string;
  readonly port: number;
  /** The largest file that the process may write, in kilobytes. */
  readonly fileKbMax?: number;
}

/** Runs the compiled simulator and waits until it answers. */
export async function runSimulator({ mainFile, ledgerFile, port, fileKbMax }: ProcessOptions) {
  const limit = fileKbMax === undefined ? '' : `ulimit -f ${fileKbMax}; `;
  const child = spawn('bash', ['-c', `${limit}exec "${process.execPath}" "${mainFile}"`], {
    env: {
      NODE_PATH: join(ROOT, 'node_modules'),
      PORT: String(port),
      PAYMENT_LEDGER_FILE: ledgerFile,
      PAYMENT_DECLINE_RATE: '0',
      LOG_LEVEL: 'info',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  }
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  const url = `http://127.0.0.1:${port}`;
  const isUp = () =>
    fetch(`${url}/livez`).then(
      ({ ok }) => ok,
      (error: unknown) => {
        if (child.exitCode !== null) throw new Error(`it ended: ${output}`, { cause: error });
        return false;
      },
    );
  await until(isUp, 20_000);
  return {
    url,
    output: () => output,
    /** Resolves with the exit code and the signal. */
    exited,
    end: (signal: NodeJS.Signals) => {
      child.kill(signal);
      return exited;
    },
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
