import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from '../../stack/settings';
import { eventually } from '../support/eventually';

const ROOT = join(__dirname, '..', '..');
const run = promisify(execFile);

/** Building both stages and pulling four images takes minutes on a small machine. */
const UP_MS_MAX = 900_000;
const HEALTHY_MS_MAX = 180_000;
const COMMAND_MS_MAX = 300_000;

interface ContainerRow {
  readonly ID: string;
  readonly Service: string;
  readonly State: string;
  readonly Health: string;
  readonly ExitCode: number;
}

/** The compose project of this run. It has its own name and ports, so that it does not touch a running project. */
export interface ComposeProject {
  readonly gateway: string;
  readonly payments: string;
  /** Runs `docker compose <args>` and returns its output. Rejects when it fails. */
  readonly compose: (...args: string[]) => Promise<string>;
  readonly containers: () => Promise<ContainerRow[]>;
  /** Resolves when every container is healthy or has exited with 0. */
  readonly whenHealthy: () => Promise<ContainerRow[]>;
  /** Stops a service gracefully, starts it again, and returns the exit code of the stop. */
  readonly restart: (service: string) => Promise<number>;
  readonly up: () => Promise<void>;
  /** Removes everything including volumes, and returns the ids of what is left. */
  readonly down: () => Promise<string>;
}

export async function createComposeProject(): Promise<ComposeProject> {
  const name = `flash-sale-test-${String(process.pid)}`;
  const ports = await freePorts();
  const env = {
    ...process.env,
    COMPOSE_PROJECT_NAME: name,
    PORT: String(ports.gateway),
    ADMIN_PORT: String(ports.admin),
    PAYMENT_PORT: String(ports.payment),
    REDIS_PORT: String(ports.redis),
    KAFKA_PORT: String(ports.kafka),
    TEMPORAL_PORT: String(ports.temporal),
    TEMPORAL_UI_PORT: String(ports.temporalUi),
  };
  const docker = async (args: string[], timeout = COMMAND_MS_MAX) => {
    const { stdout } = await run('docker', args, { cwd: ROOT, env, timeout, maxBuffer: 2 ** 26 });
    return stdout.trim();
  };
  const compose = (...args: string[]) => docker(['compose', ...args]);

  const containers = async () => {
    const lines = (await compose('ps', '--all', '--format', 'json')).split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as ContainerRow);
  };
  const whenHealthy = () =>
    eventually(
      'every container is healthy',
      async () => {
        const rows = await containers();
        const isHealthy = ({ State, Health, ExitCode }: ContainerRow) =>
          State === 'running' ? Health === 'healthy' : State === 'exited' && ExitCode === 0;
        const unhealthy = rows.filter((row) => !isHealthy(row)).map(({ Service }) => Service);
        if (unhealthy.length > 0) throw new Error(`not healthy: ${unhealthy.join(', ')}`);
        return rows.length > 0 && rows;
      },
      HEALTHY_MS_MAX,
    );

  return {
    gateway: `http://127.0.0.1:${ports.gateway}`,
    payments: `http://127.0.0.1:${ports.payment}`,
    compose,
    containers,
    whenHealthy,
    restart: async (service) => {
      await compose('stop', service);
      const stopped = (await containers()).find(({ Service }) => Service === service);
      await compose('start', service);
      await whenHealthy();
      return stopped?.ExitCode ?? -1;
    },
    up: async () => {
      await docker(['compose', 'up', '--detach', '--build', '--quiet-pull'], UP_MS_MAX);
    },
    down: async () => {
      await compose('down', '--volumes', '--remove-orphans');
      const filter = ['--quiet', '--filter', `label=com.docker.compose.project=${name}`];
      const left = await Promise.all([
        docker(['ps', '--all', ...filter]),
        docker(['volume', 'ls', ...filter]),
        docker(['network', 'ls', ...filter]),
      ]);
      return left.join('');
    },
  };
}
