import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { removeAbandoned } from '../../stack/ground/data-dir';
import { freePorts } from '../../stack/ground/ports';
import { loadStackSettings } from '../../stack/ground/settings';
import { isAbort } from '../../platform/until';
import { startStack } from '../../stack/stack';
import { planCases, type ChaosCase } from './cases';
import { runChaos, type ChaosOptions } from './run-chaos';
import type { CaseResult } from './run-case';
import { BURST_ORDERS } from './sale/wishes';
import { resultLine, resultTable, summaryLine, violationsOf } from './table';
import { UserError, describeError } from '../../platform/user-error';

/** Compiled, this file lies in dist/proof/chaos. */
const ROOT = join(__dirname, '..', '..', '..');
const PREFIX = 'chaos-';

/** Most of a case is waiting, so two cores serve several; more of them and the bursts slow each other down. */
const LANES = 4;
const LANES_MAX = 16;

const USAGE = `Usage: npm run chaos -- [--only TEXT] [--lanes N] [--json FILE]

Kills and freezes every process at every failpoint, for one order and under a burst, and checks G1 to G7 and G9.
  --only TEXT   only cases with TEXT in <point>=<action>, such as worker.charge or =freeze
  --lanes N     engines side by side, 1 to ${String(LANES_MAX)}; ${String(LANES)} if absent
  --json FILE   write the results there, too
  --list        name the cases and do nothing`;

interface Options {
  readonly cases: readonly ChaosCase[];
  readonly lanes: number;
  readonly json: string | undefined;
}

/** Exit code 0: every promise was kept. 1: one was not, or the harness could not go on. */
async function main({ cases, lanes, json }: Options): Promise<number> {
  const stopping = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!stopping.signal.aborted) print('\nStopping ...');
      stopping.abort();
    });
  }
  // npm's process holds the other end: whatever ends it ends us.
  process.once('disconnect', () => {
    stopping.abort();
  });

  removeAbandoned(join(ROOT, 'var'), PREFIX);
  const dataDir = join(ROOT, 'var', `${PREFIX}${String(process.pid)}`);
  const startedAt = Date.now();
  const results: CaseResult[] = [];
  const onResult = (result: CaseResult) => {
    results.push(result);
    print(resultLine(result, results.length, cases.length));
  };
  const tell = () => {
    results.sort((a, b) => cases.indexOf(a.case) - cases.indexOf(b.case));
    print(`\n${resultTable(results)}\n\n${summaryLine(results, Date.now() - startedAt)}`);
    if (json !== undefined) writeFileSync(json, JSON.stringify(results, null, 2));
  };
  try {
    await onStack(dataDir, stopping.signal, { cases, lanes, onResult });
    tell();
    const broken = results.some((result) => violationsOf(result).length > 0);
    // The logs tell how it came about.
    if (broken) print(`The logs of the processes are in ${dataDir}.`);
    else rmSync(dataDir, { recursive: true, force: true });
    return broken ? 1 : 0;
  } catch (error) {
    if (results.length > 0) tell();
    if (!isAbort(error)) throw error;
    rmSync(dataDir, { recursive: true, force: true });
    print('Stopped before the end.');
    return 1;
  }
}

/** Brings up Redis, Kafka and Temporal for this run alone, runs the cases, and takes everything down again. */
async function onStack(
  dataDir: string,
  signal: AbortSignal,
  options: Pick<ChaosOptions, 'cases' | 'lanes' | 'onResult'>,
): Promise<void> {
  // Addresses of a running stack are not for chaos.
  const { REDIS_ADDR, KAFKA_ADDR, TEMPORAL_ADDRESS, PAYMENT_URL, FAILPOINTS, ...env } = process.env;
  for (const [name, value] of Object.entries({
    REDIS_ADDR,
    KAFKA_ADDR,
    TEMPORAL_ADDRESS,
    PAYMENT_URL,
    FAILPOINTS,
  })) {
    if (value !== undefined) print(`${name} is set and not used: this run has its own components.`);
  }
  mkdirSync(dataDir, { recursive: true });
  const settings = { ...loadStackSettings(env, ROOT), dataDir, ports: await freePorts() };
  print('Starting the components of this run:');
  const stack = await startStack({ settings, engine: false, fresh: true, report: print, signal });
  try {
    const connection = await Connection.connect({ address: stack.temporalAddress });
    try {
      print(`${String(options.cases.length)} cases on ${String(options.lanes)} engines:`);
      const { redisAddr, kafkaAddr, temporalAddress } = stack;
      const temporal = new Client({ connection, namespace: settings.temporalNamespace });
      await runChaos(
        { root: ROOT, redisAddr, kafkaAddr, temporalAddress, temporal, dataDir, env, signal },
        { ...options, burstOrders: BURST_ORDERS },
      );
    } finally {
      await connection.close();
    }
  } finally {
    await stack.stop();
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Throws a UserError for what was mistyped. */
function readOptions(args: string[]): Options | 'done' {
  const { values } = parse(args);
  if (values.help === true) {
    print(USAGE);
    return 'done';
  }
  const cases = planCases(values.only);
  if (cases.length === 0) throw new UserError(`No case has "${values.only ?? ''}" in its name.`);
  if (values.list === true) {
    for (const { point, action } of cases) print(`${point}=${action}`);
    return 'done';
  }
  const lanes = Number(values.lanes ?? LANES);
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > LANES_MAX) {
    throw new UserError(`--lanes must be a whole number from 1 to ${String(LANES_MAX)}.`);
  }
  return { cases, lanes, json: values.json };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        only: { type: 'string' },
        lanes: { type: 'string' },
        json: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

const run = async () => {
  const options = readOptions(process.argv.slice(2));
  return options === 'done' ? 0 : main(options);
};
run().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const text = error instanceof UserError ? error.message : describeError(error);
    process.stderr.write(`\n${text}\n`);
    process.exit(1);
  },
);
