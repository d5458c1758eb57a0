import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../platform/config';
import { LOOPBACK } from '../platform/machine';
import type { SupervisedProgram } from './processes/supervisor';
import { UserError } from '../platform/user-error';

/**
 * 64 MB for each half of the young generation, from the start, instead of up to 16: a purchase lives for as long as its
 * answer takes, and what is still in hand when the young generation is full is copied, twice, and then has to be found
 * among the old. With 256 connections that took a fifth of the gateway's time, with this a sixteenth. Up to 130 MB more
 * memory. Containers and manifests say the same.
 */
export const GATEWAY_NODE_OPTIONS = [
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
] as const;

/** The engine's processes: what is run, and where it says that it can take work. */
export const ENGINE = {
  api: { main: 'api/main.js', health: '/readyz', nodeOptions: GATEWAY_NODE_OPTIONS },
  ingest: { main: 'ingest/main.js', health: '/readyz', nodeOptions: [] },
  worker: { main: 'worker/main.js', health: '/readyz', nodeOptions: [] },
  // It depends on nothing, so there is nothing to be ready for.
  simulator: { main: 'engine/payments/simulator/main.js', health: '/livez', nodeOptions: [] },
} as const;

export type EngineName = keyof typeof ENGINE;

/** A consumer that rejoins its group right after a crash waits for the old member's session to end: 10 s and some. */
const READY_MS_MAX = 60_000;
const PROBE_MS_MAX = 2_000;
/** A start can meet a coordinator that is still loading; a wrong setting fails three times as fast as once. */
const START_TRIES_MAX = 3;
/** The processes allow themselves 20 s. */
const STOP_MS_MAX = 22_000;

export interface EngineProgram extends SupervisedProgram {
  readonly url: string;
}

interface EngineProgramOptions {
  readonly port: number;
  readonly env: Env;
  readonly logFile: string;
  readonly nodeOptions?: readonly string[];
}

/**
 * One process of the engine as a program to supervise. `env` is its whole environment but for PORT, which is `port`.
 * Throws a UserError when it has not been built.
 */
export function engineProgram(
  root: string,
  name: EngineName,
  { port, env, logFile, nodeOptions = [] }: EngineProgramOptions,
): EngineProgram {
  const main = join(root, 'dist', ENGINE[name].main);
  if (!existsSync(main)) {
    throw new UserError(`dist/${ENGINE[name].main} is missing: run "npm run build".`);
  }
  const url = `http://${LOOPBACK}:${port}`;
  return {
    name,
    url,
    command: process.execPath,
    args: ['--enable-source-maps', ...ENGINE[name].nodeOptions, ...nodeOptions, main],
    env: { ...env, PORT: String(port) },
    cwd: root,
    logFile,
    probe: () => probeHttp(`${url}${ENGINE[name].health}`),
    readyMsMax: READY_MS_MAX,
    startTriesMax: START_TRIES_MAX,
    stopMsMax: STOP_MS_MAX,
  };
}

/** Throws, with the answer's text, unless the answer is 200. */
async function probeHttp(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS_MAX) });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url} answers ${response.status} ${text}`);
}
