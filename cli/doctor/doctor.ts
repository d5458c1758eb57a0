import type { Command } from 'commander';
import {
  ADDRESSES,
  type AddressName,
  type StackAddresses,
} from '../../platform/config/command-line';
import { describeError } from '../../platform/user-error';
import { addAdminUrl, addCommand, type CommonOptions, type End } from '../command';
import type { Context } from '../context';
import {
  paint,
  plain,
  printJson,
  table,
  type Colour,
  type ExitCode,
  type Terminal,
} from '../terminal';
import { checkPorts, checkPrerequisites, type CheckState, type Finding } from './machine';
import {
  probeAdmin,
  probeDatabase,
  probeGateway,
  probeKafka,
  probePayments,
  probeRedis,
  probeTemporal,
} from './probes';

/** Adds `doctor`. */
export function addDoctorCommand(program: Command, actions: DoctorActions, end: End): void {
  addAdminUrl(
    addCommand(
      program,
      'doctor',
      'Check what is there, what is missing, and what to do about it',
      'flash-sale doctor',
    ),
  ).action((options: CommonOptions) => end(actions.doctor(options)));
}

export const doctorActions = ({ terminal, env, addresses, access, config }: Context) => ({
  doctor: (options: CommonOptions) => {
    const found = addresses(options);
    const { redis, kafka, temporal, database, payments } = access(options);
    const names = config();
    const probes = {
      redis: () => probeRedis(redis),
      kafka: () => probeKafka(kafka, { ...names, hasArchive: database !== undefined }),
      temporal: () => probeTemporal(temporal, names.taskQueue),
      database: () => probeDatabase(database),
      payments: payments?.provider === 'stripe' ? notProbed : probePayments,
      gateway: probeGateway,
      admin: probeAdmin,
    };
    const machine = { env, nodeVersion: process.versions.node };
    return doctor({ terminal, diagnose: () => diagnose(machine, found, probes) }, options);
  },
});

/** Stripe counts every request. */
const notProbed: Probe = () =>
  Promise.resolve([{ name: LABELS.payments, state: 'note', detail: 'Stripe: not asked' }]);

type DoctorActions = ReturnType<typeof doctorActions>;

export interface Check extends Finding {
  readonly topic: 'prerequisites of npm start' | 'ports of npm start' | 'running parts';
}

/**
 * `flash-sale doctor`: every check, with a remedy for each one that fails. 1 when something required is missing; a stack
 * that does not run is not.
 */
export async function doctor(
  deps: { readonly terminal: Terminal; readonly diagnose: () => Promise<readonly Check[]> },
  { json }: CommonOptions,
): Promise<ExitCode> {
  const { terminal, diagnose } = deps;
  const checks = await diagnose();
  const missing = checks.filter(({ state }) => state === 'missing').map(({ name }) => plain(name));
  const code = missing.length === 0 ? 0 : 1;
  if (json) {
    printJson(terminal, { healthy: missing.length === 0, checks });
    return code;
  }
  for (const topic of new Set(checks.map((check) => check.topic))) {
    const rows = checks
      .filter((check) => check.topic === topic)
      .map(({ state, name, detail }) => [MARKS[state], name, detail]);
    terminal.out(`${paint(terminal, 'bold', topic)}\n${table(terminal, rows)}`);
  }
  const remedies = checks.flatMap(({ name, remedy }) =>
    remedy ? [`  ${plain(name)}: ${plain(remedy)}\n`] : [],
  );
  if (remedies.length > 0) {
    terminal.out(`${paint(terminal, 'bold', 'what to do')}\n${remedies.join('')}`);
  }
  const verdict =
    missing.length === 0
      ? paint(terminal, 'green', 'Nothing needed is missing.')
      : paint(terminal, 'red', `Missing: ${missing.join(', ')}.`);
  terminal.out(`${verdict}\n`);
  return code;
}

const MARKS = {
  ok: { text: 'ok', colour: 'green' },
  note: { text: '-', colour: 'grey' },
  warning: { text: 'weak', colour: 'yellow' },
  missing: { text: 'MISSING', colour: 'red' },
} as const satisfies Record<CheckState, { text: string; colour: Colour }>;

/** The parts that can be probed. */
export type ProbedName = Exclude<AddressName, 'temporalUi'>;

/** Asks one part at its address for its state. Rejects when nothing answers there. */
export type Probe = (address: string) => Promise<readonly Finding[]>;

/** Runs every check. Rejects only for bugs: a part that does not answer is a finding. */
export async function diagnose(
  machine: Parameters<typeof checkPrerequisites>[0],
  found: StackAddresses,
  probes: Readonly<Record<ProbedName, Probe>>,
): Promise<readonly Check[]> {
  const probed = await Promise.all(
    PROBED.map(async (name) => {
      const findings = await probes[name](found.addresses[name]).catch(asError);
      return { name, findings };
    }),
  );
  const answering = probed.filter(({ findings }) => !(findings instanceof Error));
  const engineRuns = answering.some(({ name }) => name === 'gateway');
  // The file alone proves nothing: a killed stack leaves it behind.
  const stackRuns = engineRuns || (found.hasStackFile && answering.length > 0);
  const ports = await checkPorts(machine.env, found, { engineRuns });
  const running = probed.flatMap(({ name, findings }) =>
    findings instanceof Error ? [silent(name, findings, found, stackRuns)] : findings,
  );
  return [
    ...checkPrerequisites(machine).map(ofTopic('prerequisites of npm start')),
    ...ports.map(ofTopic('ports of npm start')),
    ...running.map(ofTopic('running parts')),
  ];
}

const PROBED = ['redis', 'kafka', 'temporal', 'database', 'payments', 'gateway', 'admin'] as const;

const LABELS = {
  redis: 'Redis',
  kafka: 'Kafka',
  temporal: 'Temporal',
  database: 'PostgreSQL',
  payments: 'payments',
  gateway: 'gateway',
  admin: 'gateway for operators',
} as const satisfies Record<ProbedName, string>;

function ofTopic(topic: Check['topic']) {
  return (finding: Finding): Check => ({ topic, ...finding });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** A part that does not answer is missing where its address was given, or where the rest of the stack runs. */
function silent(
  name: ProbedName,
  error: Error,
  { addresses, origins }: StackAddresses,
  stackRuns: boolean,
): Finding {
  const label = LABELS[name];
  const isGiven = origins[name] === 'flag' || origins[name] === 'environment';
  if (!isGiven && !stackRuns) {
    return { name: label, state: 'note', detail: 'not running: npm start' };
  }
  const flag = name === 'admin' ? '--admin-url' : '--url';
  const source = origins[name] === 'flag' ? flag : ADDRESSES[name].variable;
  return {
    name: label,
    state: 'missing',
    detail: `${addresses[name]} does not answer (${describeError(error)})`,
    remedy: isGiven
      ? `start it, or correct ${source}`
      : 'the other parts run: see its log in var/, then stop the stack and npm start again',
  };
}
