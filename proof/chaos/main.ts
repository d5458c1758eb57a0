import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { Command, InvalidArgumentError } from 'commander';
import { isAbort } from '../../platform/until';
import { UserError } from '../../platform/user-error';
import { parseWords, runHarness, stopSignal } from '../../stack/harness-command';
import { removeAbandoned } from '../../stack/data-dir';
import { ADDRESS_VARIABLES, freePorts, loadStackSettings } from '../../stack/settings';
import { loadCheckout } from '../../stack/checkout';
import { startStack } from '../../stack/stack';
import { nameOf, planCases } from './cases';
import { crowdLine, runCheckoutCrowd } from './checkout-crowd';
import { BURST_ORDERS } from './orders-plan';
import { createPostgresFaults } from './postgres-faults';
import { resultLine, resultTable, summaryLine } from './report';
import { runChaos, violationsOf, type CaseResult } from './run-chaos';
import { runUpgrade } from './upgrade';

/** Compiled, this file lies in dist/proof/chaos. */
const ROOT = join(__dirname, '..', '..', '..');
const PREFIX = 'chaos-';

/** Most of a case is waiting, so two cores serve several; with more of them the bursts slow each other down. */
const INSTANCES = 4;
const INSTANCES_MAX = 16;

/** Exit code 0: every guarantee held. 1: one did not, or the harness could not go on. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if ('exitCode' in options) return options.exitCode;
  const cases = planCases(options.only);
  if (cases.length === 0) throw new UserError(`No case has "${options.only ?? ''}" in its name.`);
  if (options.list) {
    for (const one of cases) print(nameOf(one));
    return 0;
  }
  const old = options.upgradeFrom === undefined ? undefined : loadCheckout(options.upgradeFrom);
  const signal = stopSignal(print);
  if (options.checkout) return runCrowds(options, signal);

  removeAbandoned(join(ROOT, 'var'), PREFIX);
  const dataDir = join(ROOT, 'var', `${PREFIX}${process.pid}`);
  const startedAt = Date.now();
  const results: CaseResult[] = [];
  /** Of an upgrade. */
  const violations: string[] = [];
  const onResult = (result: CaseResult) => {
    results.push(result);
    print(resultLine(result, results.length, cases.length));
  };
  const printResults = () => {
    results.sort((a, b) => cases.indexOf(a.case) - cases.indexOf(b.case));
    print(`\n${resultTable(results)}\n\n${summaryLine(results, Date.now() - startedAt)}`);
    if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(results, null, 2));
  };
  try {
    const instances = options.lanes;
    await onOwnServers(dataDir, signal, async (servers) => {
      if (old) {
        violations.push(...(await runUpgrade(servers, old, print)));
        return;
      }
      print(`${cases.length} cases on ${instances} engines:`);
      await runChaos(servers, { cases, instances, burstOrders: BURST_ORDERS, onResult });
    });
    if (old) print(violations.length === 0 ? 'No violation.' : violations.join('\n'));
    else printResults();
    const isBroken =
      violations.length > 0 || results.some((result) => violationsOf(result).length > 0);
    // The logs show how it happened.
    if (isBroken) print(`The logs of the processes are in ${dataDir}.`);
    else rmSync(dataDir, { recursive: true, force: true });
    return isBroken ? 1 : 0;
  } catch (error) {
    if (results.length > 0) printResults();
    if (!isAbort(error)) throw error;
    rmSync(dataDir, { recursive: true, force: true });
    print('Stopped before the end.');
    return 1;
  }
}

/** Units of the crowd's item, its buyers and their time to pay. */
const CROWD = { units: 500, buyers: 2_000, payWithinMs: 30_000 };

/** One crowd for each seed, one after the other. */
async function runCrowds(
  { seeds, buyers }: { readonly seeds: number; readonly buyers: number },
  signal: AbortSignal,
): Promise<number> {
  const dataDir = join(ROOT, 'var', `${PREFIX}${process.pid}`);
  const units = Math.max(1, Math.round((CROWD.units * buyers) / CROWD.buyers));
  const violations: string[] = [];
  await onOwnServers(dataDir, signal, async (servers) => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const result = await runCheckoutCrowd(servers, { ...CROWD, units, buyers, seed });
      print([crowdLine(result), ...result.violations].join('\n  '));
      violations.push(...result.violations);
    }
  });
  const isBroken = violations.length > 0;
  if (isBroken) print(`The logs of the processes are in ${dataDir}.`);
  else rmSync(dataDir, { recursive: true, force: true });
  return isBroken ? 1 : 0;
}

/** Starts Redis, Kafka, Temporal and PostgreSQL for this run alone, runs `use`, and stops them again. */
async function onOwnServers(
  dataDir: string,
  signal: AbortSignal,
  use: (servers: Parameters<typeof runChaos>[0]) => Promise<void>,
): Promise<void> {
  const env = { ...process.env };
  for (const name of IGNORED) {
    if (env[name] === undefined) continue;
    print(`${name} is set and not used: this run has its own components.`);
    Reflect.deleteProperty(env, name);
  }
  mkdirSync(dataDir, { recursive: true });
  const settings = { ...loadStackSettings(env, ROOT), dataDir, ports: await freePorts() };
  print('Starting the components of this run:');
  // Cases kill PostgreSQL, and it comes back.
  const report = (line: string) => {
    if (!line.startsWith('  postgres ')) print(line);
  };
  const stack = await startStack({ settings, engine: false, fresh: true, report, signal });
  try {
    const { redisAddr, kafkaAddr, temporalAddress } = stack;
    const connection = await Connection.connect({ address: temporalAddress });
    const temporal = new Client({ connection, namespace: settings.temporalNamespace });
    const { databaseUrl = '' } = stack;
    const postgres = createPostgresFaults(() => stack.pids.get('postgres'));
    const addresses = { redisAddr, kafkaAddr, temporalAddress, temporal, databaseUrl };
    const ours = { ...env, DATABASE_URL: databaseUrl };
    const servers = { root: ROOT, ...addresses, postgres, dataDir, env: ours, signal };
    await use(servers).finally(() => connection.close());
  } finally {
    await stack.stop();
  }
}

/** Addresses of a running stack are not for chaos; failpoints are the cases'. */
const IGNORED = [...ADDRESS_VARIABLES, 'FAILPOINTS'];

/** Reads the command line. Returns an exit code when there is nothing to run: after --help, or a wrong option. */
function parseOptions(args: readonly string[]) {
  const program = new Command('npm run chaos --')
    .description(
      'Kills and freezes every process at every failpoint, and PostgreSQL, for one order and under a burst, and checks G1 to G7, G9, G10 and G12.',
    )
    .option(
      '--only <texts>',
      'only cases with one of these in <point>=<action>, such as worker.charge,postgres or =freeze',
    )
    .option('--lanes <n>', `engines side by side, 1 to ${INSTANCES_MAX}`, parseInstances, INSTANCES)
    .option('--json <file>', 'write the results to a file as JSON')
    .option(
      '--upgrade-from <folder>',
      'another built checkout: its engine is killed in the middle of a sale and this one continues',
      (folder) => resolve(folder),
    )
    .option(
      '--checkout',
      'in place of the cases: a crowd of buyers who pay themselves, while workers and the provider are killed at random',
      false,
    )
    .option('--seeds <n>', 'crowds, one after the other, 1 to 16', parseInstances, 3)
    .option('--buyers <n>', 'buyers of a crowd, for a quarter as many units', Number, CROWD.buyers)
    .option('--list', 'name the cases and do nothing', false);
  const exitCode = parseWords(program, args);
  if (exitCode !== undefined) return { exitCode };
  return program.opts<{
    only?: string;
    lanes: number;
    json?: string;
    list: boolean;
    checkout: boolean;
    seeds: number;
    buyers: number;
    upgradeFrom?: string;
  }>();
}

function parseInstances(text: string): number {
  const instances = Number(text);
  if (Number.isInteger(instances) && instances >= 1 && instances <= INSTANCES_MAX) return instances;
  throw new InvalidArgumentError(`A whole number from 1 to ${INSTANCES_MAX}.`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

runHarness(main);
