import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../platform/config';
import type { ReadyReport } from '../platform/health-server';
import { LOOPBACK } from '../platform/machine';
import { UserError } from '../platform/user-error';
import type { GuardedProcess } from './guarded-process';
import { startOnce, type SupervisedProgram } from './supervisor';

/** For every process, from the root of the project. The image has the same. */
export const NODE_OPTIONS = [
  '--enable-source-maps',
  '--require=./dist/platform/no-workflow-call-stacks.js',
] as const;

/**
 * 64 MB for each half of the young generation from the start, instead of up to 16. A purchase lives until its response,
 * and what is still alive when the young generation is full is copied twice and then collected from the old one. With
 * 256 connections garbage collection took a fifth of the gateway's time, with this a sixteenth. Costs up to 130 MB of
 * memory. Containers and manifests use the same values.
 */
export const GATEWAY_NODE_OPTIONS = [
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
] as const;

/** The engine's processes: their program, the path that says whether they can take work, and their port. */
export const ENGINE = {
  api: {
    main: 'api/main.js',
    health: '/readyz',
    port: 'gateway',
    nodeOptions: GATEWAY_NODE_OPTIONS,
  },
  ingest: { main: 'ingest/main.js', health: '/readyz', port: 'ingest', nodeOptions: [] },
  worker: { main: 'worker/main.js', health: '/readyz', port: 'worker', nodeOptions: [] },
  archiver: { main: 'archiver/main.js', health: '/readyz', port: 'archiver', nodeOptions: [] },
  simulator: {
    main: 'engine/payments/simulator/main.js',
    // It has no dependencies, so it is ready when it is live.
    health: '/livez',
    port: 'payment',
    nodeOptions: [],
  },
} as const;

export type EngineName = keyof typeof ENGINE;

/** A consumer that rejoins its group right after a crash waits until the old member's session of 10 s has ended. */
const READY_MS_MAX = 60_000;
const PROBE_MS_MAX = 2_000;
/** A start can fail because a Kafka coordinator is still loading. A wrong setting fails quickly, also three times. */
const START_TRIES_MAX = 3;
/** The processes give themselves 20 s. */
const STOP_MS_MAX = 22_000;

interface EngineProgramOptions {
  readonly port: number;
  /** The gateway's port for operators, metrics and probes; the other processes have none. */
  readonly adminPort: number;
  readonly env: Env;
  readonly logFile: string;
  /** Added to the options that this process always gets, such as for a profile. */
  readonly nodeOptions?: readonly string[];
}

/**
 * A process of the engine as a program to supervise. `env` is its whole environment except its ports. Throws a
 * UserError when it has not been built.
 */
export function engineProgram(
  root: string,
  name: EngineName,
  { port, adminPort, env, logFile, nodeOptions = [] }: EngineProgramOptions,
): SupervisedProgram & { readonly url: string; readonly adminUrl: string } {
  const { main, health, nodeOptions: ownOptions } = ENGINE[name];
  const file = join(root, 'dist', main);
  if (!existsSync(file)) throw new UserError(`dist/${main} is missing: run "npm run build".`);
  const url = `http://${LOOPBACK}:${port}`;
  const adminUrl = name === 'api' ? `http://${LOOPBACK}:${adminPort}` : url;
  return {
    name,
    url,
    adminUrl,
    command: process.execPath,
    args: [...NODE_OPTIONS, ...ownOptions, ...nodeOptions, file],
    env: { ...env, PORT: String(port), ...(name === 'api' && { ADMIN_PORT: String(adminPort) }) },
    cwd: root,
    logFile,
    probe: () => probeHttp(`${adminUrl}${health}`),
    readyMsMax: READY_MS_MAX,
    waitsForOthers: true,
    startTriesMax: START_TRIES_MAX,
    stopMsMax: STOP_MS_MAX,
  };
}

/**
 * Throws, with the text of the response, unless the status is 200 and every dependency replies: a gateway is ready without
 * Kafka, and the stack is up when it sells.
 */
async function probeHttp(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS_MAX) });
  const text = await response.text();
  const replies = () =>
    Object.values((JSON.parse(text) as Partial<ReadyReport>).dependencies ?? {}).every(Boolean);
  if (response.status !== 200 || !replies()) {
    throw new Error(`${url} responds with ${response.status} ${text}`);
  }
}

/** A process of the engine that a test or a harness kills, freezes and restarts. */
export type EngineProcess = Awaited<ReturnType<typeof startEngineProcess>>;

/** Starts a built process and waits until it is ready. Throws, and leaves nothing running, when it does not become ready. */
export async function startEngineProcess(
  root: string,
  name: EngineName,
  {
    signal = new AbortController().signal,
    ...options
  }: EngineProgramOptions & { readonly signal?: AbortSignal },
) {
  const program = engineProgram(root, name, options);
  const start = async (env: Env): Promise<GuardedProcess> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await startOnce(root, { ...program, env: { ...program.env, ...env } }, { signal });
      } catch (error) {
        if (signal.aborted || tries >= program.startTriesMax) throw error;
      }
    }
  };
  let running = await start({});
  const stop = async () => {
    // A frozen process handles no other signal.
    running.signal('SIGCONT');
    await running.stop(program.stopMsMax);
  };
  return {
    url: program.url,
    /** Where its probes and metrics are. */
    adminUrl: program.adminUrl,
    logFile: program.logFile,
    /** Of the process that runs now. */
    pid: () => running.pid,
    /** Sends a signal and, for SIGKILL, waits for the end. */
    kill: async (name: NodeJS.Signals) => {
      running.signal(name);
      if (name === 'SIGKILL') await running.exited;
    },
    /** Resolves when the process that runs now has ended. */
    ended: () => running.exited,
    /** Stops it if it still runs, starts it on the same port with `env` added, waits until it is ready. */
    restart: async (env: Env = {}) => {
      await stop();
      running = await start(env);
    },
    stop,
  };
}
