import { join } from 'node:path';
import { buy } from './commands/buy';
import { cancel } from './commands/cancel';
import { doctor } from './commands/doctor';
import { order } from './commands/order';
import { stockShow } from './commands/stock/show';
import { createDlqCommands } from './wiring/dlq-wiring';
import { diagnose } from './doctor/diagnose';
import { probeGateway, probePayments } from './doctor/probe-http';
import { probeKafka } from './doctor/probe-kafka';
import { probeRedis } from './doctor/probe-redis';
import { probeTemporal } from './doctor/probe-temporal';
import { createGateway, type Gateway } from './gateway/gateway';
import { createLedgerCommands } from './wiring/ledger-wiring';
import type { Terminal } from './output/terminal';
import { runCommandLine, type Commands } from './programs/program';
import { withRunningEngine } from './scenarios/running-engine';
import { runScenarios, scenarios } from './scenarios/scenarios';
import { findStackAddresses, type FoundAddresses } from './wiring/stack-addresses';
import { createStockCommands } from './wiring/stock-wiring';
import { stackAccess } from './wiring/stack-access';
import type { CommonOptions } from './usage';

/** Compiled, this file lies in dist/cli. */
const ROOT = join(__dirname, '..', '..');
const env = process.env;

const names = {
  namespace: env['TEMPORAL_NAMESPACE'] ?? 'default',
  taskQueue: env['TASK_QUEUE'] ?? 'orders',
  ordersTopic: env['ORDERS_TOPIC'] ?? 'orders',
  deadLetterTopic: env['DLQ_TOPIC'] ?? 'orders-dlq',
  consumerGroup: env['CONSUMER_GROUP'] ?? 'ingest',
  /** As long as the gateway keeps the claim of an accepted order. */
  orderRetentionMs: Number(env['ORDER_RETENTION'] ?? 604_800) * 1_000,
};

const terminal: Terminal = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  colour: process.stdout.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
};

const find = ({ url }: CommonOptions): FoundAddresses =>
  findStackAddresses({ url, env, root: ROOT });

/** Runs a command that asks the gateway, and closes its connections. */
async function atGateway<T>(
  options: CommonOptions,
  use: (deps: { gateway: Gateway; terminal: Terminal; trace: Trace }) => Promise<T>,
): Promise<T> {
  const { gateway: url, temporalUi } = find(options).addresses;
  const gateway = createGateway(url);
  const trace = { temporalUi, namespace: names.namespace };
  return use({ gateway, terminal, trace }).finally(gateway.close);
}

interface Trace {
  readonly temporalUi: string;
  readonly namespace: string;
}

const commands: Commands = {
  buy: (options) => atGateway(options, (deps) => buy(deps, options)),
  order: (options) => atGateway(options, (deps) => order(deps, options)),
  cancel: (options) => atGateway(options, (deps) => cancel(deps, options)),
  stockShow: (options) => atGateway(options, (deps) => stockShow(deps, options)),
  ...createLedgerCommands({
    ...{ terminal, names },
    find: (options) => {
      const found = find(options);
      return { ...stackAccess(found, env), payments: found.addresses.payments };
    },
  }),
  ...createStockCommands({
    terminal,
    find: (options) => stackAccess(find(options), env),
    defaultCurrency: env['DEFAULT_CURRENCY'] ?? 'USD',
  }),
  ...createDlqCommands({
    ...{ terminal, isWatched: process.stderr.isTTY, names },
    find: (options) => stackAccess(find(options), env),
  }),
  doctor: async (options) => {
    const found = find(options);
    const access = stackAccess(found, env);
    const machine = { env, nodeVersion: process.versions.node };
    const probes = {
      redis: () => probeRedis(access.redis),
      kafka: () => probeKafka(access.kafka, names),
      temporal: () => probeTemporal(access.temporal, names),
      payments: probePayments,
      gateway: probeGateway,
    };
    return doctor({ terminal, diagnose: () => diagnose(machine, found, probes) }, options);
  },
  scenarios: (options) => {
    const found = find(options);
    const run = (print: (line: string) => void) =>
      withRunningEngine(found.addresses, stackAccess(found, env), names.deadLetterTopic, (engine) =>
        runScenarios(engine, print, terminal.colour),
      );
    return scenarios(terminal, run, options);
  },
};

// A reader such as `head` that has seen enough is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 2);
});

void runCommandLine(process.argv.slice(2), commands, terminal).then((code) => {
  process.exitCode = code;
});
