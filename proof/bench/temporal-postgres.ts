import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadDatabaseAccess } from '../../platform/config';
import type { DatabaseAccess } from '../../platform/config/access';
import { findProgram, LOOPBACK } from '../../platform/machine';
import { UserError } from '../../platform/user-error';
import { probeTemporal } from '../../setup/temporal-namespace';
import { dataFolder, type Context } from '../../stack/components/component';
import { startPostgres } from '../../stack/components/postgres';
import { DYNAMIC_CONFIG, GOGC, withoutTemporalVariables } from '../../stack/components/temporal';
import { runToEnd } from '../../stack/guarded-process';
import { installed } from '../../stack/installer';
import { createPortPicker } from '../../stack/settings';
import { startOnce, type SupervisedProgram } from '../../stack/supervisor';
import type { BenchEnvironment, TemporalServer } from './environment';

/** The server that is inside the stack's development server, and the tool that creates its schema. */
const SERVER_PROGRAMS = ['go.temporal.io/server/cmd/server', 'go.temporal.io/server/cmd/tools/sql'];
const SERVER_VERSION = 'v1.31.2';

/** As in the server's own examples. The number is fixed when a cluster is created: production takes 512 and more. */
const HISTORY_SHARDS = 4;

/** Connections that each of the server's four services may open. */
const STORE_CONNECTIONS = 20;
const VISIBILITY_CONNECTIONS = 10;

const DATABASES = { temporal: 'temporal', visibility: 'temporal_visibility' } as const;

const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 10_000;

/**
 * Starts the server of a Temporal cluster, all four services in one process, with a database on a PostgreSQL of its own.
 * The first call builds it. Throws a UserError where this machine cannot have the two.
 */
export async function startTemporalPostgres(bench: BenchEnvironment): Promise<TemporalServer> {
  const { checkout, env, signal, log } = bench;
  const dataDir = join(bench.dataDir, 'temporal-postgres');
  const nextPort = createPortPicker();
  const stackSettings = checkout.loadStackSettings(env, checkout.root);
  const ports = { ...stackSettings.ports, postgres: await nextPort() };
  const settings = { ...stackSettings, dataDir, ports, isDatabaseGiven: false };
  const pids: [string, number][] = [];
  const start = async (program: SupervisedProgram): Promise<void> => {
    const server = await startOnce(checkout.root, program, { signal });
    bench.onEnd(() => server.stop(program.stopMsMax));
    pids.push([program.name, server.pid]);
  };
  const context: Context = { settings, report: log, signal, run: start };
  const { url } = await startPostgres(context);
  const database = loadDatabaseAccess({ DATABASE_URL: url });
  const temporal = await findTemporal(context);

  const inherited = withoutTemporalVariables(env);
  const program = (name: string, [command = '', ...args]: readonly string[]) => ({
    command,
    args,
    env: { ...inherited, GOGC: env['GOGC'] ?? GOGC },
    cwd: dataFolder(settings, name),
    logFile: join(dataDir, `${name}.log`),
  });
  const sqlTool = (name: string, ...words: readonly string[]) => {
    const { host, port, user, password } = database;
    const options = { endpoint: host, port, user, password: password?.reveal(), database: name };
    const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
    const call = [join(temporal, 'sql'), '--plugin', 'postgres12', ...args, ...words];
    return runToEnd(checkout.root, program('schema', call), signal);
  };
  for (const [schema, name] of Object.entries(DATABASES)) {
    await sqlTool(name, 'create-database');
    await sqlTool(name, 'setup-schema', '--version', '0.0');
    await sqlTool(name, 'update-schema', '--schema-name', `postgresql/v12/${schema}`);
  }

  const address = `${LOOPBACK}:${await nextPort()}`;
  const configFile = join(dataDir, 'temporal.json');
  const dynamicConfigFile = join(dataDir, 'dynamic-config.json');
  const config = await serverConfig({ address, database, dynamicConfigFile, nextPort });
  const dynamicConfig = Object.entries(DYNAMIC_CONFIG).map(([key, value]) => [key, [{ value }]]);
  // Both are read as YAML, of which JSON is a part.
  writeFileSync(configFile, JSON.stringify(config));
  writeFileSync(dynamicConfigFile, JSON.stringify(Object.fromEntries(dynamicConfig)));
  await start({
    ...program('temporal', [
      join(temporal, 'server'),
      ...['--config-file', configFile, '--allow-no-auth', 'start'],
    ]),
    name: 'temporal',
    probe: () => probeTemporal({ address, namespace: settings.temporalNamespace }),
    readyMsMax: READY_MS_MAX,
    startTriesMax: 1,
    stopMsMax: STOP_MS_MAX,
  });
  return { address, pids };
}

/** The folder with `server` and `sql`, built where it is not in the cache: that takes minutes. */
async function findTemporal(context: Context): Promise<string> {
  const { cacheDir, env } = context.settings;
  const cache = {
    name: `temporal-server-${SERVER_VERSION}`,
    label: `Temporal's server ${SERVER_VERSION} (built from its modules: some minutes)`,
    proof: 'server',
  };
  if (!existsSync(join(cacheDir, cache.name, cache.proof)) && !findProgram('go', env)) {
    throw new UserError("Go is missing, which builds Temporal's server: install it.");
  }
  return installed(context, cache, (target) => ({
    command: 'go',
    args: ['install', ...SERVER_PROGRAMS.map((path) => `${path}@${SERVER_VERSION}`)],
    env: { ...env, GOBIN: target },
    cwd: target,
  }));
}

async function serverConfig(options: {
  readonly address: string;
  readonly database: DatabaseAccess;
  readonly dynamicConfigFile: string;
  readonly nextPort: () => Promise<number>;
}) {
  const { address, database, dynamicConfigFile, nextPort } = options;
  const service = async (grpcPort: number) => ({
    rpc: { grpcPort, membershipPort: await nextPort(), bindOnLocalHost: true },
  });
  const datastore = (databaseName: string, connections: number) => ({
    sql: {
      pluginName: 'postgres12',
      connectProtocol: 'tcp',
      connectAddr: `${database.host}:${String(database.port)}`,
      user: database.user,
      password: database.password?.reveal(),
      databaseName,
      maxConns: connections,
      maxIdleConns: connections,
    },
  });
  const cluster = 'active';
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      numHistoryShards: HISTORY_SHARDS,
      defaultStore: 'store',
      visibilityStore: 'visibility',
      datastores: {
        store: datastore(DATABASES.temporal, STORE_CONNECTIONS),
        visibility: datastore(DATABASES.visibility, VISIBILITY_CONNECTIONS),
      },
    },
    global: { membership: { broadcastAddress: LOOPBACK } },
    services: {
      frontend: await service(Number(address.split(':')[1])),
      history: await service(await nextPort()),
      matching: await service(await nextPort()),
      worker: await service(await nextPort()),
    },
    clusterMetadata: {
      failoverVersionIncrement: 10,
      masterClusterName: cluster,
      currentClusterName: cluster,
      clusterInformation: {
        [cluster]: {
          enabled: true,
          initialFailoverVersion: 1,
          rpcName: 'frontend',
          rpcAddress: address,
        },
      },
    },
    dynamicConfigClient: { filepath: dynamicConfigFile, pollInterval: '60s' },
  };
}
